"""What accuracy costs: each model's quality beside its throughput, latency, size and training time.

A model is on the Pareto front if no other one is at least as accurate and faster. All others have a better
alternative, at least if size and calibration do not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from review_sentiment.evaluation.cost import Cost

if TYPE_CHECKING:
    from review_sentiment.evaluation.result import Evaluation

QUALITY = ("accuracy", "ROC AUC", "calibration error")
HEADING = (
    "model",
    *QUALITY,
    "reviews/s",
    "one review, p50",
    "p95",
    "size",
    "training",
    "Pareto front",
)
SECONDS_PER_MINUTE = 60
SMALL, TINY = 10.0, 0.1
"""Numbers below the first have a decimal, and below the second one digit that is not 0."""


@dataclass(frozen=True)
class Tradeoff:
    """A model's accuracy and calibration error at the natural share, its AUC on balanced reviews, its cost.

    A model without a decision rule has both figures of balanced reviews.
    """

    model: str
    accuracy: float
    roc_auc: float
    calibration_error: float
    cost: Cost


def tradeoffs_of(evaluations: Iterable[Evaluation]) -> list[Tradeoff]:
    """Return the trade-off of each evaluation that has a cost, in the order of `in_order`."""
    found = []
    for one in evaluations:
        if one.cost is not None:
            shown = one.natural or one.metrics
            found.append(
                Tradeoff(one.model, shown.accuracy, one.metrics.roc_auc, shown.calibration_error, one.cost)
            )
    return in_order(found)


def in_order(tradeoffs: Iterable[Tradeoff]) -> list[Tradeoff]:
    """Return them with the fastest model first, and of equally fast ones the most accurate."""
    return sorted(tradeoffs, key=lambda one: (-one.cost.reviews_per_second, -one.accuracy))


def pareto_front(tradeoffs: Sequence[Tradeoff]) -> list[Tradeoff]:
    """Return those that no other model beats in accuracy and throughput; both are `in_order`."""
    front: list[Tradeoff] = []
    for one in tradeoffs:
        if not front or one.accuracy > front[-1].accuracy:
            front.append(one)
    return front


def tradeoff_table(tradeoffs: Sequence[Tradeoff]) -> list[tuple[str, ...]]:
    """Return a row of texts per model, in the order of `HEADING`."""
    front = pareto_front(tradeoffs)
    return [
        (
            one.model,
            f"{one.accuracy:.3f}",
            f"{one.roc_auc:.3f}",
            f"{one.calibration_error:.3f}",
            _number(one.cost.reviews_per_second),
            f"{_number(one.cost.p50_ms)} ms",
            f"{_number(one.cost.p95_ms)} ms",
            f"{_number(one.cost.megabytes)} MB",
            _duration(one.cost.training_seconds),
            "yes" if one in front else "no",
        )
        for one in tradeoffs
    ]


def tradeoffs_json(tradeoffs: Sequence[Tradeoff]) -> str:
    """Return the trade-offs as JSON."""
    return json.dumps([asdict(one) for one in tradeoffs], indent=2)


def tradeoffs_from(text: str) -> list[Tradeoff]:
    """Read what `tradeoffs_json` returned."""
    return TypeAdapter(list[Tradeoff]).validate_json(text)


def _number(value: float) -> str:
    if value < TINY:
        return f"{value:.1g}"
    return f"{value:.1f}" if value < SMALL else f"{value:,.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes = seconds / SECONDS_PER_MINUTE
    return f"{minutes:.1f} min" if minutes >= 1 else f"{_number(seconds)} s"
