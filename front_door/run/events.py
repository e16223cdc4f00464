"""A run as JSON lines, for programs that follow it: the dashboard, a notebook, a CI job.

The file is next to the run's log file, or at `--events FILE`. Each line has `time` (seconds
since 1970) and `event`:

    run       `name`: of the run in ZenML, `log`, `pid`, `stack`, `steps`: the names in order
    step      `step`, `status` (cached, running, completed, failed, interrupted), `seconds`
    progress  `task`, `done`, `total`, `seconds_left` (or null), `detail`
    message   `level`, `text`: a message to the user
    end       `status` (completed, detached, failed, interrupted), `text`: the error message,
              `result`: as `--json` prints it, if the run completed or goes on in a cluster (detached),
              `exit_code`: of a failed run, 2 if the settings were refused; otherwise 0

If the last line is not an `end`, the run is in progress or its process was killed.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from front_door.terminal.error_text import INTERRUPTED, error_text, exit_code_of
from front_door.terminal.run_handler import RunHandler, StepStatus
from review_sentiment.errors import UsageError
from review_sentiment.progress import Snapshot


class EventFile(RunHandler):
    """Writes the events of a run."""

    def __init__(self, file: Path | None) -> None:
        """Open a new file in an existing directory; with None, events are dropped until `open`."""
        super().__init__()
        self._file = None if file is None else _opened(file)

    def open(self, file: Path) -> None:
        """Open this file, unless one is open already."""
        self._file = self._file or _opened(file)

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

    def on_progress(self, snapshot: Snapshot) -> None:
        """Write the progress of a task."""
        self.write(
            "progress",
            task=snapshot.task,
            done=snapshot.done,
            total=snapshot.total,
            seconds_left=snapshot.seconds_left,
            detail=snapshot.detail,
        )

    def on_message(self, record: logging.LogRecord) -> None:
        """Write a message."""
        self.write("message", level=record.levelname.lower(), text=record.getMessage())

    def on_step(self, step: str, status: StepStatus, seconds: float) -> None:
        """Write a step's change of status."""
        self.write("step", step=step, status=status, seconds=round(seconds, 1))


@contextmanager
def recorded(file: Path | None) -> Iterator[EventFile]:
    """Yield an event file; an exception in the block is written as the run's end.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        events = EventFile(file)
    except OSError as error:
        raise UsageError(f"--events: {file} cannot be written: {error.strerror}.") from error
    with closing(events):
        try:
            yield events
        except KeyboardInterrupt:
            events.end("interrupted", INTERRUPTED)
            raise
        except SystemExit:
            events.end("interrupted", "Terminated (SIGTERM). Finished steps are kept.")
            raise
        except Exception as error:
            events.end("failed", error_text(error), exit_code=exit_code_of(error))
            raise


def _opened(file: Path) -> IO[str]:
    return file.open("w", encoding="utf-8", buffering=1)
