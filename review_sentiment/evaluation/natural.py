"""The metrics that production will see: at the natural share of the labels, under the decision rule.

An evaluation set is stratified: it has as many negative as positive reviews at first, and then more of the
frequent label (`data/splits.py`). Production has the shares of the source. Every figure here is therefore a
weighted one: a review counts within its label by its sampling weight, and a label by its natural share. At
12 % negative reviews, a false "negative" counts seven times as much against precision as at 50 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.errors import DataError
from review_sentiment.evaluation.intervals import PERCENTILES
from review_sentiment.evaluation.natural_figures import Figure, resampled_figures
from review_sentiment.names import in_sentence, safe_names

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.decision.rule import DecisionRule

BY_LABEL = ("share", "precision", "recall")
SCALARS = ("accuracy", "macro_f1", "calibration_error", "coverage", "risk")
ON_SCALE = ("quadratic_kappa", "mean_absolute_error")
"""Figures of labels that are on a scale; see `metrics.Metrics`."""

SCALE_ROWS: Mapping[str, tuple[str, str | None]] = {
    "quadratic kappa": ("quadratic_kappa", None),
    "mean absolute error": ("mean_absolute_error", None),
}


@dataclass(frozen=True)
class NaturalMetrics:
    """The metrics of n reviews at the natural share of the labels, as fractions, each with its interval.

    `calibration_error` is the mean distance between a label's probability and its frequency, in 15 bins with
    the same number of production's reviews each; with more than two labels, the mean over the labels.
    `coverage` is the fraction of reviews that the rule answers, `risk` the fraction of wrong answers among
    these; the other figures count the rule's likeliest answer to every review, sure or not. `low` and `high`
    have the ends of the 95 % intervals under the names of the figures. `categories` has the same metrics of
    each category, at its own shares. The figures of `ON_SCALE` are None if the labels are not on a scale.
    """

    n: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    coverage: float
    risk: float
    share: Mapping[str, float]
    precision: Mapping[str, float]
    recall: Mapping[str, float]
    low: Mapping[str, Any]
    high: Mapping[str, Any]
    categories: Mapping[str, NaturalMetrics] = field(default_factory=dict)
    quadratic_kappa: float | None = None
    mean_absolute_error: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the figures, each followed by `NAME_low` and `NAME_high`, and those of `categories`."""
        figures = self._figures()
        if self.categories:
            figures["categories"] = {name: found._figures() for name, found in self.categories.items()}
        return figures

    def _figures(self) -> dict[str, Any]:
        return {"n": self.n} | {
            f"{name}{suffix}": values[name]
            for name in (*SCALARS, *ON_SCALE, *BY_LABEL)
            if name in self.low
            for suffix, values in (("", vars(self)), ("_low", self.low), ("_high", self.high))
        }

    @classmethod
    def from_json(cls, figures: Mapping[str, Any]) -> NaturalMetrics:
        """Return the metrics from what `as_json` returned."""
        low, high = (
            {name: figures[f"{name}_{end}"] for name in figures if f"{name}_{end}" in figures}
            for end in ("low", "high")
        )
        categories = {name: cls.from_json(own) for name, own in figures.get("categories", {}).items()}
        values = {name: figures[name] for name in low}
        return cls(n=figures["n"], low=low, high=high, categories=categories, **values)

    @property
    def rarest(self) -> str:
        """Return the label with the smallest share."""
        return min(self.share, key=lambda label: self.share[label])

    def share_text(self, label: str | None = None) -> str:
        """Return which share of the labels the figures are about: that of a label, or of the rarest."""
        named = label or self.rarest
        return f"as in production: {self.share[named]:.1%} {in_sentence(named)}"

    def rows(self) -> dict[str, tuple[str, str | None]]:
        """Return what a table shows: titles of figures, with their name and the label that they are about.

        Precision and recall are those of the rarest label, which the class shares affect most.
        """
        rarest = self.rarest
        return {
            "accuracy": ("accuracy", None),
            "macro-F1": ("macro_f1", None),
            f"precision of {in_sentence(rarest)}": ("precision", rarest),
            f"recall of {in_sentence(rarest)}": ("recall", rarest),
            "calibration error": ("calibration_error", None),
            **({} if self.quadratic_kappa is None else SCALE_ROWS),
        } | ({"coverage": ("coverage", None), "risk": ("risk", None)} if self.coverage < 1 else {})

    def headline(self) -> dict[str, float]:
        """Return the figures as single numbers, with the interval of the accuracy, under names for MLflow.

        MLflow draws a chart for each: the other intervals, and those of categories, are in `as_json`.
        """
        safe = safe_names(self.share)
        numbers = {
            "n": float(self.n),
            "accuracy_low": self.low["accuracy"],
            "accuracy_high": self.high["accuracy"],
        }
        numbers |= {name: vars(self)[name] for name in (*SCALARS, *ON_SCALE) if name in self.low}
        for name in BY_LABEL:
            numbers |= {f"{name}_{safe[label]}": value for label, value in vars(self)[name].items()}
        return numbers

    def with_interval(self, name: str, label: str | None = None) -> tuple[float, float, float]:
        """Return a figure and the ends of its interval."""
        value, low, high = (
            values[name] if label is None else values[name][label]
            for values in (vars(self), self.low, self.high)
        )
        return value, low, high

    def shown(self, name: str, label: str | None = None, form: str = ".3f") -> str:
        """Return a figure with its interval."""
        value, low, high = self.with_interval(name, label)
        return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def natural_metrics(
    predictions: pd.DataFrame, rule: DecisionRule, shares: tuple[float, ...]
) -> NaturalMetrics:
    """Compute the metrics of a table of predictions under a rule, at the natural shares of its labels.

    A category's own shares are what its weights add up to. A small sample of the reviews, such as the untuned
    model's, may have categories without a review of some label: these have no metrics.
    """
    categories = {}
    for category, own in predictions.groupby("category"):
        if own["gold"].nunique() < len(rule.labels):
            continue
        mass = own.groupby("gold")["weight"].sum().reindex(list(rule.labels))
        categories[str(category)] = _metrics_of(own, rule, tuple((mass / mass.sum()).tolist()))
    return replace(_metrics_of(predictions, rule, shares), categories=categories)


def _metrics_of(predictions: pd.DataFrame, rule: DecisionRule, shares: tuple[float, ...]) -> NaturalMetrics:
    ((point, drawn),) = resampled_figures([(predictions, rule)], shares)
    return _with_intervals(len(predictions), point, drawn, rule.labels)


def natural_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    rules: tuple[DecisionRule, DecisionRule],
    shares: tuple[float, ...],
) -> NaturalMetrics:
    """Compute the metrics of the second table minus those of the first, each under its own rule.

    Only reviews that are in both count, with the second table's weights; `share` stays the labels' share.
    Both are resampled with the same draws. A draw that is easy for one is easy for the other, so the interval
    is narrower than the two models' own intervals suggest.

    Raises:
        DataError: the two have other labels, or no review of a label in common.
    """
    labels = rules[1].labels
    shared = first[["review_id", "gold"]].merge(second[["review_id", "gold"]])
    if rules[0].labels != labels or set(shared["gold"]) != set(labels):
        raise DataError("The two models have too few reviews and labels in common to be compared.")
    before, after = (
        table.merge(shared).sort_values("review_id", ignore_index=True) for table in (first, second)
    )
    (point, drawn), (later, later_drawn) = resampled_figures([(before, rules[0]), (after, rules[1])], shares)
    return _with_intervals(len(shared), _minus(later, point), _minus(later_drawn, drawn), labels)


def _minus(second: Mapping[str, Figure], first: Mapping[str, Figure]) -> dict[str, Figure]:
    return {name: value if name == "share" else value - first[name] for name, value in second.items()}


def _with_intervals(
    n: int, point: Mapping[str, Figure], drawn: Mapping[str, Figure], labels: Sequence[str]
) -> NaturalMetrics:
    ends: dict[str, dict[str, Any]] = {"low": {}, "high": {}}
    for name, values in drawn.items():
        for end, percentile in zip(("low", "high"), PERCENTILES, strict=True):
            ends[end][name] = _named(name, np.percentile(values, percentile, axis=0), labels)
    named: dict[str, Any] = {name: _named(name, value[0], labels) for name, value in point.items()}
    return NaturalMetrics(n=n, low=ends["low"], high=ends["high"], **named)


def _named(name: str, values: Figure, labels: Sequence[str]) -> Any:
    """Return a figure as a number, or by label."""
    if name in BY_LABEL:
        return {label: float(value) for label, value in zip(labels, values, strict=True)}
    return float(values)
