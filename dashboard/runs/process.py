"""Runs that the dashboard starts, each as a process of its own whose state is in files only.

A run's directory, which has the run's name in ZenML, has its settings, its process (`run.json`), the events
that the front door writes, and its output. A reloaded page, a second window or a restarted server therefore
find the same runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml

from front_door.run.launch import RUN_NAME, STARTED_FROM, new_name
from review_sentiment.cache import cache_directory
from review_sentiment.errors import UsageError
from review_sentiment.file_lock import exclusive

if TYPE_CHECKING:
    from review_sentiment.config import Settings

FRONT_DOOR = Path(__file__).resolve().parents[2] / "run_pipeline.py"
RECORD, SETTINGS, EVENTS, OUTPUT, ERRORS = "run.json", "settings.yaml", "events.jsonl", "out.txt", "err.txt"
SAME_PROCESS_SECONDS = 2.0
"""Tolerance for a process's start time; a later start means that the id was reused."""
RECORDS_KEPT = 5_000
MAX_ERRORS = 4_000
"""Characters."""
NICENESS = 5
"""If they compete for the cores, pages come before a run."""


@dataclass(frozen=True)
class RunRecord:
    """A run that was started: its name, its process and start time, its options and the command line."""

    name: str
    pid: int
    began: float
    options: tuple[str, ...]
    title: str

    @property
    def directory(self) -> Path:
        """Return the directory of the run's files."""
        return runs_directory() / self.name

    @property
    def settings_file(self) -> Path:
        """Return the file of the settings that it was started with."""
        return self.directory / SETTINGS

    @property
    def event_file(self) -> Path:
        """Return the file that `front_door/run/events.py` writes."""
        return self.directory / EVENTS

    @property
    def errors(self) -> str:
        """Return the end of what the run wrote to standard error."""
        file = self.directory / ERRORS
        return file.read_text(encoding="utf-8", errors="replace")[-MAX_ERRORS:] if file.is_file() else ""


def runs_directory() -> Path:
    """Return the directory of all runs that were started from the dashboard."""
    return cache_directory() / "dashboard" / "runs"


def list_runs() -> list[RunRecord]:
    """Return the runs, newest first; records that cannot be read are skipped."""
    found = []
    for file in sorted(runs_directory().glob(f"*/{RECORD}"), reverse=True):
        with suppress(OSError, ValueError, TypeError, KeyError):  # deleted meanwhile, or of another version
            found.append(_record(file))
    return found


@lru_cache(RECORDS_KEPT)
def _record(file: Path) -> RunRecord:
    """Return a record, which does not change once it is there."""
    values = json.loads(file.read_text(encoding="utf-8"))
    return RunRecord(**(values | {"options": tuple(values["options"])}))


def active_run() -> RunRecord | None:
    """Return the run whose process is alive, or None."""
    return next((record for record in list_runs() if is_alive(record)), None)


def start(settings: Settings, options: Sequence[str], title: str) -> RunRecord:
    """Start a run with the front door's options, which must describe the same settings; no shell is involved.

    Raises:
        UsageError: another run is active.
        LockedError: the run's files cannot be written.
    """
    with exclusive(runs_directory() / ".lock"):  # whatever window or server it comes from
        if other := active_run():
            raise UsageError(f"The run {other.name} is still active. Wait until it ends, or cancel it.")
        name = new_name()
        directory = runs_directory() / name
        directory.mkdir(parents=True)
        file = directory / SETTINGS
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        arguments = [*options, "--events", str(directory / EVENTS), "--json"]
        with (directory / OUTPUT).open("wb") as output, (directory / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, str(FRONT_DOOR), *arguments],
                env=os.environ | {RUN_NAME: name, STARTED_FROM: "dashboard"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        started = psutil.Process(process.pid)
        _yield_to_pages(started)
        began = started.create_time()
        record = RunRecord(name, process.pid, began, tuple(options), title)
        scratch = directory / f".{RECORD}"
        scratch.write_text(json.dumps(asdict(record)), encoding="utf-8")
        scratch.rename(directory / RECORD)
    return record


def _yield_to_pages(process: psutil.Process) -> None:
    """Lower the priority of a process that has just started its own session."""
    process.nice(process.nice() + NICENESS)
    # Where Linux shares the cores between sessions, `nice` counts within one only.
    with suppress(OSError):
        Path(f"/proc/{process.pid}/autogroup").write_text(str(NICENESS), encoding="ascii")


def is_alive(record: RunRecord) -> bool:
    """Return whether the run's process is alive; if it has ended as our child, reap it."""
    with suppress(ChildProcessError):  # an earlier server started it
        os.waitpid(record.pid, os.WNOHANG)
    return process_of(record.pid, record.began - SAME_PROCESS_SECONDS, record.began) is not None


def process_of(pid: int, earliest: float, latest: float) -> psutil.Process | None:
    """Return the process with an id if it is alive and started between two times (seconds since 1970)."""
    try:
        process = psutil.Process(pid)
        same = earliest <= process.create_time() <= latest + SAME_PROCESS_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.Error:
        return None
