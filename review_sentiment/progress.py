"""Progress as log records, in this process and from others.

Code reports progress by logging it, and the handlers of the process decide how to show it: the command line
draws a bar, while a notebook or a test that configures no handler shows nothing. Another process has no
access to these handlers, so its records are logged again here:

- a child process writes them to a file as JSON lines (`forward_logs`), which its parent reads
  (`read_messages`, `log_again`);
- a container on another host prints them to its log, which `RemoteProgress` parses.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

LOGGER = logging.getLogger("review_sentiment.progress")
ATTRIBUTE = "progress"
"""Attribute of a log record that holds the `Snapshot`."""
REPORT_SECONDS = 0.5
POLL_SECONDS = 0.3
_LINE = re.compile(r"(?P<task>[a-z][\w ]*): (?P<done>\d+) of (?P<total>\d+) ?(?P<detail>.*?)(?: \| {.*)?$")
"""What `_log` writes; ZenML appends a bar and the record's attributes."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a task after `seconds`; `detail` is for people.

    `fraction` of the work is done (0-1); it is not `done / total` if some units take longer than others.
    An earlier process did `fraction_before` of it, in seconds that do not count.
    """

    task: str
    done: int
    total: int
    seconds: float
    fraction: float
    detail: str = ""
    fraction_before: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Return the time left at the average speed so far, or None before the first unit."""
        done = self.fraction - self.fraction_before
        return self.seconds / done * (1 - self.fraction) if done > 0 else None


class Progress:
    """Reports a task of `total` units: at most every half second, and always when it is complete.

    A task of one unit reports nothing: a single review is answered before anyone could read it.
    `done` counts the units that an earlier process finished, which were a `fraction` of the work, by default
    `done / total`.
    """

    def __init__(self, task: str, total: int, done: int = 0, fraction: float | None = None) -> None:
        self.done = done
        self._task = task
        self._total = total
        self._before = self._fraction = self._fraction_of(fraction)
        self._started = time.monotonic()
        self._reported = 0.0

    @property
    def seconds(self) -> float:
        """Return the time since the start."""
        return time.monotonic() - self._started

    def __enter__(self) -> Self:
        self._report("")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.done < self._total:
            self.advance(self._total - self.done)

    def advance(self, units: int, detail: str = "", fraction: float | None = None) -> None:
        """Count finished units; `fraction` of the work is done, by default `done / total`."""
        self.done += units
        self._fraction = self._fraction_of(fraction)
        if self.done >= self._total or time.monotonic() - self._reported >= REPORT_SECONDS:
            self._report(detail)

    def skip(self, units: int) -> None:
        """Count units that an earlier process finished."""
        self._before += units / max(1, self._total)
        self.advance(units)

    def _fraction_of(self, fraction: float | None) -> float:
        return self.done / max(1, self._total) if fraction is None else min(fraction, 1.0)

    def _report(self, detail: str) -> None:
        self._reported = time.monotonic()
        if self._total > 1:
            _log(
                Snapshot(
                    self._task, self.done, self._total, self.seconds, self._fraction, detail, self._before
                )
            )


def _log(snapshot: Snapshot) -> None:
    values = (snapshot.task, snapshot.done, snapshot.total, snapshot.detail)
    LOGGER.info("%s: %d of %d %s", *values, extra={ATTRIBUTE: snapshot})


class RemoteProgress:
    """Logs here the progress that a process on another host has printed to its log."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, float]] = {}
        """When each task's first line came, and the fraction that was done then."""

    def log_again(self, lines: Iterable[str]) -> None:
        """Log the lines that report progress; the time of a task counts from its first line."""
        for line in lines:
            if found := _LINE.search(line):
                task, done, total = found["task"], int(found["done"]), int(found["total"])
                now, fraction = time.monotonic(), done / max(1, total)
                if done == 0:
                    self._started[task] = now, 0.0
                started, before = self._started.setdefault(task, (now, fraction))
                _log(Snapshot(task, done, total, now - started, fraction, found["detail"], before))


class MessageWriter(logging.Handler):
    """Writes messages to a file, one JSON line each; as a log handler it writes progress and log records."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.INFO)
        self._file = file.open("a", encoding="utf-8", buffering=1)

    def write(self, kind: str, **values: Any) -> None:
        """Write a message of this kind."""
        self._file.write(json.dumps({"kind": kind} | values, default=str) + "\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if snapshot := getattr(record, ATTRIBUTE, None):
            self.write("progress", snapshot=vars(snapshot))
        else:
            self.write("log", name=record.name, level=record.levelno, text=record.getMessage())


def forward_logs(file: Path) -> MessageWriter:
    """Write what our own code logs in this process to a file for the parent process."""
    writer = MessageWriter(file)
    ours = logging.getLogger("review_sentiment")
    ours.addHandler(writer)
    ours.setLevel(logging.INFO)
    return writer


def read_messages(process: subprocess.Popen[bytes], file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a child's messages as it writes them, until it has exited and all of them are read."""
    rest = ""
    with file.open(encoding="utf-8") as lines:
        while True:
            # Check before reading: otherwise a message between the last read and the exit would be lost.
            exited = process.poll() is not None
            *complete, rest = (rest + lines.read()).split("\n")
            yield from map(json.loads, complete)
            if exited:
                return
            time.sleep(POLL_SECONDS)


def log_again(message: Mapping[str, Any]) -> None:
    """Log a child's progress or log record here. Messages of other kinds are left to the caller."""
    match message["kind"]:
        case "progress":
            _log(Snapshot(**message["snapshot"]))
        case "log":
            logging.getLogger(message["name"]).log(message["level"], "%s", message["text"])


def duration(seconds: float) -> str:
    """Return a duration in the unit that a person would use, such as `7 minutes` or `2.5 hours`."""
    for unit, size in (("days", 86_400), ("hours", 3_600)):
        amount = seconds / size
        if amount >= 2:  # noqa: PLR2004 - below, the next unit says more
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}".replace(".0", "")  # noqa: PLR2004
    if seconds >= 120:  # noqa: PLR2004 - two minutes
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} seconds" if seconds >= 1.5 else "1 second"  # noqa: PLR2004 - rounds to two
