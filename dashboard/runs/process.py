"""Runs that the dashboard starts: each a process of its own, known from files alone.

A run's directory has its settings, what was started (`run.json`), the events that the front
door writes, and its output. So a page that is closed, a second tab or another server find
the same runs; nothing about them is kept in memory.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml

from review_sentiment.cache import cache_directory
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from review_sentiment.config import Settings

FRONT_DOOR = Path(__file__).resolve().parents[2] / "run_pipeline.py"
RECORD, SETTINGS, EVENTS, OUTPUT, ERRORS = "run.json", "settings.yaml", "events.jsonl", "out.txt", "err.txt"
SAME_PROCESS_SECONDS = 2.0
"""Most that two readings of a process's start may differ: another process with its id began later."""


@dataclass(frozen=True)
class RunRecord:
    """A run that was started: its directory's name, its process and when that began, and its options."""

    name: str
    pid: int
    began: float
    options: tuple[str, ...]
    title: str

    @property
    def directory(self) -> Path:
        """Return where the run's files are."""
        return runs_directory() / self.name

    @property
    def settings_file(self) -> Path:
        """Return the settings that it was started with."""
        return self.directory / SETTINGS

    @property
    def event_file(self) -> Path:
        """Return the file of `front_door/run/events.py`."""
        return self.directory / EVENTS

    @property
    def errors(self) -> str:
        """Return the end of what the run wrote to standard error."""
        file = self.directory / ERRORS
        return file.read_text(encoding="utf-8", errors="replace")[-4_000:] if file.is_file() else ""


def runs_directory() -> Path:
    """Return the directory of the runs that were started from the dashboard."""
    return cache_directory() / "dashboard" / "runs"


def list_runs() -> list[RunRecord]:
    """Return the runs, the newest first; what is not a whole record is left out."""
    found = []
    for file in sorted(runs_directory().glob(f"*/{RECORD}"), reverse=True):
        with suppress(OSError, ValueError, TypeError, KeyError):  # one that is being written
            values = json.loads(file.read_text(encoding="utf-8"))
            found.append(RunRecord(**(values | {"options": tuple(values["options"])})))
    return found


def active_run() -> RunRecord | None:
    """Return the run whose process is alive, or None."""
    return next((record for record in list_runs() if is_alive(record)), None)


def start(settings: Settings, options: Sequence[str], title: str) -> RunRecord:
    """Start a run with the front door's options, which stand for the settings; no shell reads them.

    Raises:
        UsageError: another run is going on, or its files cannot be written.
    """
    with _one_at_a_time():
        if other := active_run():
            raise UsageError(f"The run {other.name} is going on. Wait for its end, or cancel it.")
        name = f"{datetime.now():%Y-%m-%d_%H-%M-%S_%f}"
        directory = runs_directory() / name
        directory.mkdir(parents=True)
        file = directory / SETTINGS
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
        arguments = [*options, "--events", str(directory / EVENTS), "--json"]
        with (directory / OUTPUT).open("wb") as output, (directory / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, str(FRONT_DOOR), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        record = RunRecord(
            name, process.pid, psutil.Process(process.pid).create_time(), tuple(options), title
        )
        scratch = directory / f".{RECORD}"
        scratch.write_text(json.dumps(asdict(record)), encoding="utf-8")
        scratch.rename(directory / RECORD)
    return record


def is_alive(record: RunRecord) -> bool:
    """Tell whether the run's process is there; one that has ended and is our child is taken off the list."""
    with suppress(ChildProcessError):  # not a child of this server: it was started by an earlier one
        os.waitpid(record.pid, os.WNOHANG)
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.began) < SAME_PROCESS_SECONDS
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def cancel(record: RunRecord) -> None:
    """Interrupt the run as Ctrl-C does: a training ends after its present step, with a checkpoint."""
    if is_alive(record):
        os.kill(record.pid, signal.SIGINT)


def kill(record: RunRecord) -> None:
    """End the run and its children at once; the newest checkpoint stays."""
    if is_alive(record):
        os.killpg(record.pid, signal.SIGKILL)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one of several tabs or servers start a run."""
    try:
        runs_directory().mkdir(parents=True, exist_ok=True)
        lock = (runs_directory() / ".lock").open("w")
    except OSError as error:
        raise UsageError(
            f"A run's files cannot be written to {runs_directory()}: {error.strerror}. Free some room, or "
            "set XDG_CACHE_HOME to a directory that can be written."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
