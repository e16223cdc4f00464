"""What a person sees of a run: our progress and results; everything else goes to the log file.

Libraries print to standard error, log, warn and draw bars of their own, from
Python and from C. While a run is quiet both output streams of the process lead
to the log file, and the console keeps a copy of the terminal to itself.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from front_door.terminal.step_messages import step_status
from review_sentiment.progress import ATTRIBUTE, Snapshot

BAR_WIDTH = 24
SECONDS_BETWEEN_LINES = 15.0
"""Pause between two progress lines where the output is not a terminal."""


class Console(logging.Handler):
    """Shows our own log records, ZenML's word on its steps, and a bar for what takes long."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to the stream; a bar is drawn where it is a terminal."""
        super().__init__(logging.INFO)
        self._stream = stream
        self._draws = stream.isatty()
        self._bar_shown = False
        self._last_line = 0.0
        self._started: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        snapshot = getattr(record, ATTRIBUTE, None)
        if isinstance(snapshot, Snapshot):
            self._show_progress(snapshot)
        elif record.name.startswith("review_sentiment"):
            self.say(f"  {record.getMessage()}")
        elif record.name.startswith("zenml"):
            self._show_step(record.getMessage())

    def say(self, line: str) -> None:
        """Write a line, over the bar where there is one."""
        if self._bar_shown:
            self._stream.write("\r\x1b[2K")
            self._bar_shown = False
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def _show_step(self, message: str) -> None:
        found = step_status(message)
        if found is None:
            return
        step, status = found
        if status == "cached":
            self.say(f"cached   {step}")
        elif status == "failed":
            self.say(f"failed   {step} ({self._seconds(step):.0f} s)")
        elif status == "running":
            self._started[step] = time.monotonic()
            self.say(f"running  {step}")
        else:
            self.say(f"done     {step} ({self._seconds(step):.0f} s)")

    def _seconds(self, step: str) -> float:
        return time.monotonic() - self._started.get(step, time.monotonic())

    def _show_progress(self, snapshot: Snapshot) -> None:
        left = snapshot.seconds_left
        remaining = "" if left is None else f", {_clock(left)} left"
        text = f"{snapshot.task} {snapshot.done}/{snapshot.total}{remaining}"
        if snapshot.detail:
            text += f", {snapshot.detail}"
        finished = snapshot.done >= snapshot.total
        if self._draws:
            filled = BAR_WIDTH * snapshot.done // max(1, snapshot.total)
            self._stream.write(f"\r\x1b[2K  [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}")
            self._bar_shown = True
            if finished:
                self.say(f"  {snapshot.task}: {snapshot.total} in {_clock(snapshot.seconds)}")
            self._stream.flush()
        elif finished or time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.say(f"  {text}")


@contextmanager
def quiet(log_file: Path) -> Iterator[Console]:
    """Lead both output streams to the log file; the console writes to the real standard error.

    What uses ZenML within calls `import_zenml_quietly` first.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    terminal = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="replace")
    console = Console(terminal)
    with log_file.open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.handlers[:] = [handler, console]
        logging.captureWarnings(True)
        logging.getLogger("review_sentiment").setLevel(logging.INFO)
        try:
            yield console
        finally:
            logging.captureWarnings(False)
            root.handlers[:] = []
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
            terminal.close()


@contextmanager
def loud() -> Iterator[None]:
    """Show everything, on standard error: standard output is for the result."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def import_zenml_quietly() -> None:
    """Import ZenML without its console handler; the one that stores the steps' logs stays."""
    from zenml.logger import ZenMLConsoleHandler

    root = logging.getLogger()
    root.handlers[:] = [kept for kept in root.handlers if not isinstance(kept, ZenMLConsoleHandler)]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


@contextmanager
def output_to(log_file: Path, debug: bool) -> Iterator[None]:
    """Lead the libraries' output to the log file, or show it where debugging."""
    with loud() if debug else quiet(log_file):
        if not debug:
            with without_collecting():
                import_zenml_quietly()
        yield


@contextmanager
def without_collecting() -> Iterator[None]:
    """Import without the garbage collector, and hide what was imported from it afterwards.

    ZenML and MLflow are 3,600 modules and 1,000 pydantic models. A run from the cache took
    14.3, 15.9 and 18.7 s with the collector and 11.7, 14.3 and 14.5 s so (in turn, two cores).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
