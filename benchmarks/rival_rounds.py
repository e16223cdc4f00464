"""Measure rivals on the same reviews, in rounds: whatever else the machine does meets all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.errors import UsageError
from review_sentiment.evaluation.cost import Cost, latencies
from review_sentiment.evaluation.intervals import figures
from review_sentiment.evaluation.tradeoff import Tradeoff, in_order, pareto_front
from review_sentiment.scoring.answers import Answers

if TYPE_CHECKING:
    import numpy.typing as npt

    from benchmarks.rival_models import Given, Rival

LEAST_SECONDS = 1.0
"""A fast model answers the reviews again and again for so long in each round."""


@dataclass(frozen=True)
class Sample:
    """Reviews at a version's class shares, in random order, with the class indices of their labels."""

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    titles: list[str]
    texts: list[str]
    gold: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of reviews of each label."""
        found = np.bincount(self.gold, minlength=len(self.labels))
        return dict(zip(self.labels, map(int, found), strict=True))


@dataclass(frozen=True)
class Timed:
    """What a round measured of a rival."""

    reviews_per_second: float
    cpu_seconds: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Measured:
    """A rival's accuracy and ROC AUC on the sample, and the medians over the rounds of what it costs.

    `cpu_seconds` are those of a review. The AUC is None if the rival gives no probabilities.
    """

    name: str
    accuracy: float
    roc_auc: float | None
    cost: Cost
    cpu_seconds: float
    speeds: tuple[float, ...]
    """Reviews per second in each round."""

    @classmethod
    def of(cls, rival: Rival, given: Given, sample: Sample, rounds: Sequence[Timed]) -> Measured:
        """Put together what is known of a rival."""
        speed, cpu, p50, p95 = (
            statistics.median(getattr(one, name) for one in rounds) for name in vars(rounds[0])
        )
        accuracy, roc_auc = quality(given, sample)
        cost = Cost(speed, p50, p95, rival.megabytes, rival.training_seconds)
        speeds = tuple(one.reviews_per_second for one in rounds)
        return cls(rival.name, accuracy, roc_auc, cost, cpu, speeds)


def drawn(reviews: pd.DataFrame, shares: Mapping[str, float], size: int, seed: int) -> Sample:
    """Draw at most `size` reviews, of each label its share, within a label by weight.

    Without a label's full number of reviews, those of the other labels are fewer too.

    Raises:
        UsageError: a label would have no review.
    """
    present = reviews["label"].value_counts()
    most = min([size, *(int(present.get(label, 0) / share) for label, share in shares.items() if share)])
    parts = []
    for label, share in shares.items():
        own = reviews[reviews["label"] == label]
        count = min(round(most * share), len(own))
        if count == 0:
            raise UsageError(
                f"A sample of {size} reviews would have none that is {label}, which has {share:.1%} of all "
                f"reviews and {len(own)} of the version's evaluation reviews. Raise --reviews, or choose a "
                "version that was evaluated on more reviews."
            )
        parts.append(own.sample(count, weights="weight", random_state=seed))
    frame = pd.concat(parts).sample(frac=1, random_state=seed)
    labels = tuple(shares)
    return Sample(
        labels,
        tuple(frame["review_id"]),
        list(frame["title"]),
        list(frame["text"]),
        np.array([labels.index(label) for label in frame["label"]]),
    )


def measured(
    rivals: Sequence[Rival], sample: Sample, rounds: int, report: Callable[[str], None]
) -> list[Measured]:
    """Measure the rivals in turn, `rounds` times; another one starts each round.

    Their answers come from a first round that is not timed: it compiles kernels and fills caches.
    """
    given: dict[str, Given] = {}
    for rival in rivals:
        given[rival.name] = rival.answer(sample.titles, sample.texts)
        report(f"{rival.name}: accuracy {quality(given[rival.name], sample)[0]:.3f}")
    found: dict[str, list[Timed]] = {rival.name: [] for rival in rivals}
    for number in range(rounds):
        first = number % len(rivals)
        for rival in (*rivals[first:], *rivals[:first]):
            one = timed(rival, sample)
            found[rival.name].append(one)
            report(f"round {number + 1} of {rounds}, {rival.name}: {one.reviews_per_second:,.1f} reviews/s")
    return [Measured.of(rival, given[rival.name], sample, found[rival.name]) for rival in rivals]


def timed(rival: Rival, sample: Sample) -> Timed:
    """Measure what the answers to all reviews take, and to one at a time."""
    start, cpu, answered = time.perf_counter(), rival.cpu_seconds(), 0
    while answered == 0 or time.perf_counter() - start < LEAST_SECONDS:
        rival.answer(sample.titles, sample.texts)
        answered += len(sample)
    seconds, cpu_seconds = time.perf_counter() - start, rival.cpu_seconds() - cpu
    p50, p95 = latencies(rival.answer, list(zip(sample.titles, sample.texts, strict=True)))
    return Timed(answered / seconds, cpu_seconds / answered, p50, p95)


def quality(given: Given, sample: Sample) -> tuple[float, float | None]:
    """Return the accuracy, for which a text that is not a label is wrong, and the ROC AUC if it is known."""
    if given.probabilities is None:
        return float(np.mean(given.answered == sample.gold)), None
    found = figures(Answers(sample.gold, given.answered, given.probabilities))
    return float(found["accuracy"]), float(found["roc_auc"])


def on_front(found: Sequence[Measured]) -> set[str]:
    """Return the rivals that no other one beats in accuracy and throughput."""
    # Neither of these two figures decides what is on the front.
    unknown = (math.nan, math.nan)
    return {
        one.model
        for one in pareto_front(in_order(Tradeoff(m.name, m.accuracy, *unknown, m.cost) for m in found))
    }
