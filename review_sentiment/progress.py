"""Progress as log records: whoever runs the code decides how to show it.

The front door draws a bar; a notebook or a test that configures nothing sees
nothing.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LOGGER = logging.getLogger("review_sentiment.progress")
ATTRIBUTE = "progress"
"""Attribute of a log record that holds the `Snapshot`."""
SECONDS_BETWEEN = 0.5


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
        snapshot = Snapshot(self._task, self._done, self._total, now - self._started, self._share, detail)
        LOGGER.info(
            "%s: %d of %d %s", self._task, self._done, self._total, detail, extra={ATTRIBUTE: snapshot}
        )
