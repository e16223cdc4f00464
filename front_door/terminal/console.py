"""What the console shows of a run: our messages and progress. All other output goes to the log file.

Libraries print, log, warn and draw progress bars, from Python and from C. `quiet` therefore
redirects the process's file descriptors, and the console keeps a copy of the real standard error.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from front_door.terminal.run_handler import RunHandler, StepStatus
from review_sentiment.progress import Snapshot

STDOUT, STDERR = 1, 2
BAR_WIDTH = 24
SECONDS_BETWEEN_LINES = 15.0
"""Interval of progress lines if the output is not a terminal."""


class Console(RunHandler):
    """Shows our log messages, each step's status, and a progress bar for long tasks."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to the stream, with a progress bar if it is a terminal."""
        super().__init__()
        self._stream = stream
        self._bar_shown = False
        self._last_line = 0.0

    def print_line(self, line: str) -> None:
        """Write a line, in place of the bar if one is shown."""
        self.erase_bar()
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def erase_bar(self) -> None:
        """Clear the terminal's last line if it holds a bar."""
        if self._bar_shown:
            self._stream.write("\r\x1b[2K")
            self._bar_shown = False

    def on_message(self, record: logging.LogRecord) -> None:
        """Show the message."""
        self.print_line(f"  {record.getMessage()}")

    def on_step(self, step: str, status: StepStatus, seconds: float) -> None:
        """Show a step's new status, and how long it took if it has ended."""
        duration = f" ({seconds:.0f} s)" if status in ("completed", "failed", "interrupted") else ""
        self.print_line(f"{'done' if status == 'completed' else status:8} {step}{duration}")

    def on_progress(self, snapshot: Snapshot) -> None:
        """Redraw the bar; if the output is not a terminal, write a line from time to time."""
        left = snapshot.seconds_left
        remaining = "" if left is None else f", {_clock(left)} left"
        detail = f", {snapshot.detail}" if snapshot.detail else ""
        text = f"{snapshot.task} {snapshot.done}/{snapshot.total}{remaining}{detail}"
        finished = snapshot.done >= snapshot.total
        if self._stream.isatty():
            filled = BAR_WIDTH * snapshot.done // max(1, snapshot.total)
            self._stream.write(f"\r\x1b[2K  [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}")
            self._bar_shown = True
            if finished:
                self.print_line(f"  {snapshot.task}: {snapshot.total} in {_clock(snapshot.seconds)}")
            self._stream.flush()
        elif finished or time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.print_line(f"  {text}")


@contextmanager
def quiet(log_file: Path, messages: bool = True) -> Iterator[Console]:
    """Redirect all output to the log file; only the `Console` that is yielded writes to standard error.

    It shows our log messages, except without `messages`: those of a server are about single requests.

    Use `redirect_output` for code that imports ZenML.
    """
    root = logging.getLogger()
    with (
        os.fdopen(os.dup(STDERR), "w", buffering=1, encoding="utf-8", errors="replace") as terminal,
        log_file.open("a", encoding="utf-8") as log,
        _redirected({STDOUT: log.fileno(), STDERR: log.fileno()}),
    ):
        console = Console(terminal)
        to_file = logging.StreamHandler(log)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.setLevel(logging.INFO)
        root.handlers[:] = [to_file, console] if messages else [to_file]
        logging.captureWarnings(True)
        logging.getLogger("review_sentiment").setLevel(logging.INFO)
        try:
            yield console
        finally:
            console.erase_bar()
            logging.captureWarnings(False)
            root.handlers[:] = []


@contextmanager
def redirect_output(log_file: Path, debug: bool = False) -> Iterator[None]:
    """Import ZenML with its output, and all that follows, in the log file.

    With `debug`, everything is shown instead, on standard error: standard output is for the result.
    """
    if debug:
        with _redirected({STDOUT: STDERR}):
            yield
        return
    with quiet(log_file):
        with without_garbage_collection():
            from zenml.logger import ZenMLConsoleHandler

        # ZenML's import installs its own console handler, and one that stores the steps' logs, which stays.
        root = logging.getLogger()
        root.handlers[:] = [kept for kept in root.handlers if not isinstance(kept, ZenMLConsoleHandler)]
        yield


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import and connect without the garbage collector, and exclude these objects from later collections.

    ZenML and MLflow load 3,600 modules and 1,000 pydantic models. On two cores, a cached run took
    14.3, 15.9 and 18.7 s with the collector, and 11.7, 14.3 and 14.5 s without it. A step that runs in this
    process may need it: `CollectFromFirstStep`.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


class CollectFromFirstStep(RunHandler):
    """Enables the garbage collector when the first step starts in this process; a cached run has none."""

    def on_progress(self, snapshot: Snapshot) -> None:
        """Do nothing."""

    def on_message(self, record: logging.LogRecord) -> None:
        """Do nothing."""

    def on_step(self, step: str, status: StepStatus, seconds: float) -> None:  # noqa: ARG002
        """Enable the collector if the step starts."""
        if status == "running" and not gc.isenabled():
            gc.freeze()
            gc.enable()


@contextmanager
def _redirected(targets: Mapping[int, int]) -> Iterator[None]:
    """Point file descriptors at others, for this process and its children, and restore them at the end."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in targets}
    for descriptor, target in targets.items():
        os.dup2(target, descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
