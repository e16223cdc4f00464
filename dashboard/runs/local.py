"""The runs of this machine, by their event files: those of the dashboard, and those of every command line.

A file of events is next to each log file, or in the directory of a run that the dashboard started.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from dashboard.runs import process as run_process
from dashboard.runs.process import RunRecord, process_of
from dashboard.runs.progress import RunState, Status, read_events
from review_sentiment.cache import cache_directory

FILES_KEPT = 10_000
STATES_KEPT = 64
TAIL_BYTES = 1 << 17
"""The last event has the run's result, which is shorter than this."""
STOP_SUFFIX = ".stop"
"""Of the file next to the events that remembers what the user asked for: `cancel` or `kill`."""


@dataclass(frozen=True)
class LocalRun:
    """A run of this machine; `record` is set if the dashboard started it, `since` is its first event's time.

    `end` is its last event if the run has ended, else None.
    """

    name: str
    event_file: Path
    since: float
    pid: int
    log: str
    stack: str
    end: dict[str, Any] | None
    record: RunRecord | None = None

    @property
    def process(self) -> psutil.Process | None:
        """Return the run's process if it is alive."""
        if self.record is not None:
            return psutil.Process(self.record.pid) if run_process.is_alive(self.record) else None
        return None if self.end else process_of(self.pid, 0.0, self.since)

    @property
    def stop_asked(self) -> str:
        """Return `cancel` or `kill` if the user asked for that on a page, else an empty text."""
        file = self.event_file.with_suffix(STOP_SUFFIX)
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    @property
    def status(self) -> Status:
        """Return the run's status without reading all events."""
        if self.end is not None:
            status: Status = self.end["status"]
            return status
        if self.process is not None:
            return "running" if self.pid else "starting"
        return "interrupted" if self.stop_asked else "lost"

    def read(self) -> RunState:
        """Return the run's current state."""
        alive = self.process is not None  # first: a process writes its last events before it exits
        size = self.event_file.stat().st_size if self.event_file.is_file() else 0
        return _state(self.event_file, size).concluded(alive, self.stop_asked)

    def cancel(self) -> None:
        """Interrupt the run as Ctrl-C does: training stops after its current step and saves a checkpoint."""
        if process := self.process:
            self._remember("cancel")
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the run and its children; the newest checkpoint is kept."""
        if process := self.process:
            self._remember("kill")
            with suppress(psutil.NoSuchProcess):
                for each in (*process.children(recursive=True), process):
                    with suppress(psutil.NoSuchProcess):
                        each.kill()

    def _remember(self, what: str) -> None:
        self.event_file.with_suffix(STOP_SUFFIX).write_text(what, encoding="utf-8")


def local_runs() -> dict[str, LocalRun]:
    """Return the runs of this machine by name, in no order."""
    records = {record.name: record for record in run_process.list_runs()}
    found = {record.name: _run_of(record.event_file, record) for record in records.values()}
    for file, size in _event_files():
        if size and (run := _read(file, size)) is not None and run.name:
            found[run.name] = run
    return found


def find_local(name: str) -> LocalRun | None:
    """Return the run of this machine with a name, or None."""
    return local_runs().get(name)


def _run_of(event_file: Path, record: RunRecord) -> LocalRun:
    """Return a run of the dashboard, which may have written nothing yet."""
    size = event_file.stat().st_size if event_file.is_file() else 0
    run = _read(str(event_file), size) if size else None
    if run is None:
        return LocalRun(record.name, event_file, record.began, 0, "", "", None, record)
    return LocalRun(record.name, event_file, run.since, run.pid, run.log, run.stack, run.end, record)


def _event_files() -> Iterator[tuple[str, int]]:
    """Yield the event files next to log files, and their sizes."""
    with suppress(FileNotFoundError), os.scandir(cache_directory() / "logs") as entries:
        for entry in entries:
            if entry.name.endswith(".jsonl"):
                with suppress(FileNotFoundError):
                    yield entry.path, entry.stat().st_size


@lru_cache(FILES_KEPT)
def _read(file: str, size: int) -> LocalRun | None:
    """Return a run from the first and the last event of a file with this size; None if it has no name."""
    with Path(file).open("rb") as opened:
        events = [json.loads(opened.readline())]
        opened.seek(max(0, size - TAIL_BYTES))
        *_, last = opened.read(TAIL_BYTES).splitlines()
    with suppress(ValueError):  # it is being written
        events.append(json.loads(last))
    first, last_event = events[0], events[-1]
    end = last_event if last_event["event"] == "end" else None
    if first["event"] != "run":  # refused before it had a log
        return LocalRun("", Path(file), first["time"], 0, "", "", end)
    return LocalRun(
        first.get("name", ""), Path(file), first["time"], first["pid"], first["log"], first["stack"], end
    )


@lru_cache(STATES_KEPT)
def _state(file: Path, size: int) -> RunState:  # noqa: ARG001 - a larger file is another state
    return read_events(file)
