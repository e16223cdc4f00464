"""The base of the log handlers that follow a run: the console and the file of events."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from review_sentiment.progress import ATTRIBUTE, Snapshot

StepStatus = Literal["cached", "running", "completed", "failed", "interrupted"]
STEP_MESSAGES: dict[StepStatus, re.Pattern[str]] = {
    "cached": re.compile(r"Using cached version of step `([^`]+)`"),
    "running": re.compile(r"Step `([^`]+)` has started"),
    "completed": re.compile(r"Step `([^`]+)` has finished"),
    "failed": re.compile(r"Failed to run step `([^`]+)`"),
}

STEP = "step_change"
"""Attribute of a log record that holds a `StepChange`."""
STEPS = logging.getLogger("review_sentiment.steps")


@dataclass(frozen=True)
class StepChange:
    """A step's new status, `seconds` after it started."""

    step: str
    status: StepStatus
    seconds: float


def log_step(step: str, status: StepStatus, seconds: float) -> None:
    """Log the new status of a step that runs elsewhere: ZenML logs it in the step's own process only."""
    STEPS.info("step %s: %s", step, status, extra={STEP: StepChange(step, status, seconds)})


class RunHandler(logging.Handler):
    """Sorts log records into progress, our own messages and ZenML's messages about steps; drops the rest."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._started: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Call the method for this kind of record."""
        snapshot = getattr(record, ATTRIBUTE, None)
        if isinstance(snapshot, Snapshot):
            self.on_progress(snapshot)
        elif isinstance(change := getattr(record, STEP, None), StepChange):
            self.on_step(change.step, change.status, change.seconds)
        elif record.name.startswith("review_sentiment"):
            self.on_message(record)
        elif record.name.startswith("zenml") and (found := step_status(record.getMessage())):
            step, status = found
            if status == "failed" and _is_interruption(record):
                status = "interrupted"
            now = time.monotonic()
            if status == "running":
                self._started[step] = now
            self.on_step(step, status, now - self._started.get(step, now))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Follow the log records of this block."""
        logging.getLogger().addHandler(self)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(self)

    def on_progress(self, snapshot: Snapshot) -> None:
        """Handle the progress of a task."""
        raise NotImplementedError

    def on_message(self, record: logging.LogRecord) -> None:
        """Handle a log record of ours."""
        raise NotImplementedError

    def on_step(self, step: str, status: StepStatus, seconds: float) -> None:
        """Handle a step's change of status, `seconds` after it started."""
        raise NotImplementedError


def _is_interruption(record: logging.LogRecord) -> bool:
    """Return whether the step failed, as ZenML calls it, because of Ctrl-C or SIGTERM."""
    from zenml.exceptions import RunInterruptedException

    kinds = (KeyboardInterrupt, SystemExit, RunInterruptedException)
    return isinstance(record.args, tuple) and any(isinstance(value, kinds) for value in record.args)


def step_status(message: str) -> tuple[str, StepStatus] | None:
    """Return the step that a log message of ZenML (0.98) is about, and its status; None for others."""
    for status, pattern in STEP_MESSAGES.items():
        if found := pattern.match(message):
            return found[1], status
    return None
