"""A run as JSON lines, for programs that follow it: the dashboard, a notebook, a job of CI.

The file stands beside the run's log file, or where `--events FILE` says. Each line has `time`
(seconds since 1970) and `event`:

    run       `log`, `pid`, `stack`, `steps`: the names in order
    step      `step`, `status` (cached, running, completed, failed), `seconds`
    progress  `task`, `done`, `total`, `seconds_left` (or null), `detail`
    message   `level`, `text`: what the run tells a person
    end       `status` (completed, failed, interrupted), `text`: the error for a person,
              `result`: as `--json` prints it, where the run was completed,
              `exit_code`: that of the error, 2 where settings were refused; 0 without one

A file without a last `end` belongs to a run that goes on, or whose process was killed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from front_door.terminal.step_messages import step_status
from review_sentiment.progress import ATTRIBUTE, Snapshot


class EventFile(logging.Handler):
    """Writes what a run says of its steps and its progress."""

    def __init__(self, file: Path | None) -> None:
        """Begin a new file in a directory that exists; without one, nothing is written before `begin`."""
        super().__init__(logging.INFO)
        self._file = None if file is None else _opened(file)
        self._started: dict[str, float] = {}

    def begin(self, file: Path) -> None:
        """Begin this file, unless there is one."""
        self._file = self._file or _opened(file)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of ours, or of ZenML's on a step."""
        snapshot = getattr(record, ATTRIBUTE, None)
        if isinstance(snapshot, Snapshot):
            self.write(
                "progress",
                task=snapshot.task,
                done=snapshot.done,
                total=snapshot.total,
                seconds_left=snapshot.seconds_left,
                detail=snapshot.detail,
            )
        elif record.name.startswith("review_sentiment"):
            self.write("message", level=record.levelname.lower(), text=record.getMessage())
        elif record.name.startswith("zenml") and (found := step_status(record.getMessage())):
            self._write_step(*found)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the log's records within the block."""
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)

    def write(self, event: str, **values: Any) -> None:
        """Write one event."""
        if self._file is not None:
            self._file.write(json.dumps({"time": time.time(), "event": event, **values}) + "\n")

    def end(
        self, status: str, text: str = "", result: Mapping[str, Any] | None = None, exit_code: int = 0
    ) -> None:
        """Write how the run ended."""
        self.write("end", status=status, text=text, result=result, exit_code=exit_code)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _write_step(self, step: str, status: str) -> None:
        now = time.monotonic()
        if status == "running":
            self._started[step] = now
        self.write("step", step=step, status=status, seconds=round(now - self._started.get(step, now), 1))


def _opened(file: Path) -> IO[str]:
    return file.open("w", encoding="utf-8", buffering=1)
