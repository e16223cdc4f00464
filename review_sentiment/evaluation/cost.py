"""What a model costs: its throughput, the latency of a single review, its size, and its training time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SINGLE_REVIEWS = 40
"""Reviews that are answered one by one for the latency: two of them are above the 95th percentile."""
WARM_UP = 3
"""Reviews answered before those that are timed."""


@dataclass(frozen=True)
class Cost:
    """What a model costs on the machine that evaluated it.

    `reviews_per_second` is that of all held-out reviews at once; the latencies are those of a single review,
    in milliseconds. `megabytes` (1e6 bytes) is the size on disk of all that is needed to answer, the base
    model included. `training_seconds` is None for a model that was not trained.
    """

    reviews_per_second: float
    p50_ms: float
    p95_ms: float
    megabytes: float
    training_seconds: float | None

    def figures(self) -> dict[str, float]:
        """Return what is known, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def latencies(answer: Callable[..., object], reviews: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Return the 50th and the 95th percentile of the time in ms that a single review takes.

    `answer` takes a list for each part of a review, here with the part of one review.
    """
    found = []
    for review in reviews[: SINGLE_REVIEWS + WARM_UP]:
        start = time.perf_counter()
        answer(*([part] for part in review))
        found.append(1e3 * (time.perf_counter() - start))
    p50, p95 = np.percentile(found[WARM_UP:] or found, [50, 95])
    return float(p50), float(p95)


def megabytes_of(directory: Path) -> float:
    """Return the size of the files of a directory in units of 1e6 bytes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6
