"""The metrics of a model's answers, computed in the same way for every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from review_sentiment.data.labels import places_on_scale
from review_sentiment.errors import DataError
from review_sentiment.evaluation.intervals import Interval, figures, intervals
from review_sentiment.evaluation.predictions import UNPARSED, answers_of

HEADLINE = (
    "accuracy",
    "constrained_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "unparsed_rate",
    "brier",
    "calibration_error",
    "label_mass",
    "n",
    "quadratic_kappa",
    "mean_absolute_error",
)
"""Metrics that are single numbers; the last two only if the labels are on a scale."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of one model on n reviews, as fractions unless stated otherwise.

    `accuracy`, precision, recall, F1 and the confusion matrix are strict: an answer that is not a label is
    wrong. `constrained_accuracy`, `roc_auc`, `brier` and `calibration_error` use only the labels'
    probabilities. Precision, recall, F1 and ROC AUC are means over the classes. `brier` is half the mean
    squared distance of the probabilities from the truth, `calibration_error` the mean distance between
    confidence and accuracy in 15 bins. `confusion` has counts, with a row per gold label, a column per label,
    and a last column for unparsed answers. If the labels are on a scale, `quadratic_kappa` is Cohen's kappa
    with the squared distance as the weight, and `mean_absolute_error` the mean distance in places, both of
    the likeliest labels.
    """

    n: int
    accuracy: float
    constrained_accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    unparsed_rate: float
    brier: float
    calibration_error: float
    label_mass: float
    intervals: Mapping[str, Interval]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    category_accuracy: Mapping[str, float]
    category_n: Mapping[str, int]
    quadratic_kappa: float | None = None
    mean_absolute_error: float | None = None

    def headline(self) -> dict[str, float]:
        """Return the metrics that are single numbers."""
        found = {name: getattr(self, name) for name in HEADLINE}
        return {name: float(value) for name, value in found.items() if value is not None}

    def interval_ends(self) -> dict[str, float]:
        """Return the ends of every interval as single numbers."""
        return {
            f"{name}_{end}": value
            for name, interval in self.intervals.items()
            for end, value in zip(("low", "high"), interval, strict=True)
        }

    def shown(self, name: str) -> str:
        """Return a metric with its interval."""
        low, high = self.intervals[name]
        return f"{getattr(self, name):.3f} [{low:.3f}, {high:.3f}]"


def compute_metrics(predictions: pd.DataFrame, labels: Sequence[str]) -> Metrics:
    """Compute every metric from a table of predictions.

    Raises:
        DataError: the table is empty, a label has no reviews, or a label is unknown.
    """
    from sklearn.metrics import confusion_matrix

    gold, predicted = predictions["gold"], predictions["predicted"]
    require_every_label(gold, labels)
    answers = answers_of(predictions, labels)
    # The function that the intervals resample, so that a metric and its interval are the same quantity.
    places = places_on_scale(labels)
    computed: dict[str, Any] = {name: float(value) for name, value in figures(answers, places).items()}
    by_category = (gold == predicted).groupby(predictions["category"])
    confusion = confusion_matrix(gold, predicted, labels=[*labels, UNPARSED])[: len(labels)]
    return Metrics(
        n=len(gold),
        **computed,
        label_mass=float(predictions["label_mass"].mean()),
        intervals=intervals(answers, places),
        labels=tuple(labels),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        category_accuracy={str(name): float(value) for name, value in by_category.mean().items()},
        category_n={str(name): int(value) for name, value in by_category.size().items()},
    )


def require_every_label(gold: pd.Series[str], labels: Sequence[str]) -> None:
    """Check that metrics can be computed from reviews with these gold labels.

    Raises:
        DataError: there are none, a label is missing, or a label is unknown.
    """
    if gold.empty:
        raise DataError("There is nothing to evaluate: the evaluation set is empty.")
    unknown = set(gold) - set(labels)
    if unknown:
        raise DataError(f"The evaluation set has unknown labels: {', '.join(sorted(unknown))}.")
    missing = set(labels) - set(gold)
    if missing:
        raise DataError(
            f"The evaluation set has {len(gold)} reviews but none that is {' or '.join(sorted(missing))}; "
            "metrics need reviews of every class."
        )
