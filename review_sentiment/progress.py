"""Progress as log records: whoever runs the code decides how to show it.

The front door draws a bar; a notebook or a test that configures nothing sees
nothing.
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
from types import TracebackType
from typing import Any, Self

LOGGER = logging.getLogger("review_sentiment.progress")
ATTRIBUTE = "progress"
"""Attribute of a log record that holds the `Snapshot`."""
SECONDS_BETWEEN = 0.5
_LINE = re.compile(r"(?P<task>[a-z][\w ]*): (?P<done>\d+) of (?P<total>\d+) ?(?P<detail>.*?)(?: \| {.*)?$")
"""What `show` logs; ZenML adds a record's attributes to its line, after a bar."""


OURS = logging.getLogger("review_sentiment")
SECONDS_BETWEEN_LOOKS = 0.3


@dataclass(frozen=True)
class Snapshot:
    """Where a task stands; `seconds` have passed, `detail` is for people.

    `share` of the work (0-1) is done, which is not `done / total` where units
    take more or less time each.
    """

    task: str
    done: int
    total: int
    seconds: float
    share: float
    detail: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Return the time left at the pace so far, or None before the first unit."""
        return self.seconds / self.share * (1 - self.share) if self.share else None


class Progress:
    """Reports a task of `total` units, at most every half second and always at the end.

    `done` units were finished by an earlier process.
    """

    def __init__(self, task: str, total: int, done: int = 0) -> None:
        self._task = task
        self._total = total
        self._done = done
        self._share = 0.0
        self._started = time.monotonic()
        self._last = 0.0

    def __enter__(self) -> Self:
        self._report("")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._done < self._total:
            self.advance(self._total - self._done)

    def advance(self, units: int, detail: str = "", share: float | None = None) -> None:
        """Count finished units; `share` of the work is done, that of the units where it is not given."""
        self._done += units
        self._share = self._done / max(1, self._total) if share is None else min(share, 1.0)
        finished = self._done >= self._total
        if finished or time.monotonic() - self._last >= SECONDS_BETWEEN:
            self._report(detail)

    def _report(self, detail: str) -> None:
        now = time.monotonic()
        self._last = now
        show(Snapshot(self._task, self._done, self._total, now - self._started, self._share, detail))


def show(snapshot: Snapshot) -> None:
    """Log where a task stands, for whoever shows it."""
    LOGGER.info(
        "%s: %d of %d %s",
        snapshot.task,
        snapshot.done,
        snapshot.total,
        snapshot.detail,
        extra={ATTRIBUTE: snapshot},
    )


class LinesOfProgress:
    """Shows here what a process far away has logged of its progress, from the lines of its log."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}

    def pass_on(self, lines: Iterable[str]) -> None:
        """Show the lines that tell of progress; the time that a task takes is that since its first line."""
        for line in lines:
            if found := _LINE.search(line):
                task, done, total = found["task"], int(found["done"]), int(found["total"])
                if done == 0 or task not in self._started:
                    self._started[task] = time.monotonic()
                seconds = time.monotonic() - self._started[task]
                show(Snapshot(task, done, total, seconds, done / max(1, total), found["detail"]))


class Speaker(logging.Handler):
    """Writes messages, one whole line at a time; as a handler it passes progress and log records on."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.INFO)
        self._file = file.open("a", encoding="utf-8", buffering=1)

    def say(self, kind: str, **message: Any) -> None:
        """Write a message of a kind."""
        self._file.write(json.dumps({"kind": kind} | message, default=str) + "\n")

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        snapshot = getattr(record, ATTRIBUTE, None)
        if isinstance(snapshot, Snapshot):
            self.say("progress", snapshot=vars(snapshot))
        else:
            self.say("log", name=record.name, level=record.levelno, text=record.getMessage())


def speak_for_this_process(file: Path) -> Speaker:
    """Return a speaker that also passes on what our own code logs."""
    speaker = Speaker(file)
    OURS.addHandler(speaker)
    OURS.setLevel(logging.INFO)
    return speaker


def follow(process: subprocess.Popen[bytes], said: Path) -> Iterator[Mapping[str, Any]]:
    """Yield what is said until the process has ended and all of it is read."""
    rest = ""
    with said.open(encoding="utf-8") as lines:
        while True:
            # Looked at before reading: what was said before the end is still read.
            ended = process.poll() is not None
            *whole, rest = (rest + lines.read()).split("\n")
            yield from map(json.loads, whole)
            if ended:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)


def pass_on(message: Mapping[str, Any]) -> None:
    """Log here what the child logged there: progress and records; other messages are the caller's."""
    match message["kind"]:
        case "progress":
            show(Snapshot(**message["snapshot"]))
        case "log":
            logging.getLogger(message["name"]).log(message["level"], "%s", message["text"])
