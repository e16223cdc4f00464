"""What a decision rule does at the natural share of the labels, drawn on evaluation reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.evaluation.decision_curves import THRESHOLDS, DecidedReviews, decided_reviews
from review_sentiment.evaluation.plots import BLUE, COLOURS, GREY, plain, three_in_a_row

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from review_sentiment.decision.rule import DecisionRule


def decision_figure(predictions: pd.DataFrame, rule: DecisionRule) -> Figure:
    """Draw reliability before and after calibration, precision, recall and cost, risk by coverage.

    The label is that of `decided_reviews`. `predictions` are those of all held-out evaluation reviews, with
    weights.
    """
    reviews = decided_reviews(predictions, rule)
    figure, (reliability, threshold, coverage) = three_in_a_row(3.8)
    _reliability(reliability, reviews)
    _by_threshold(threshold, reviews)
    _risk(coverage, reviews, rule)
    name = plain(reviews.label)
    for axes, title, x, y in (
        (
            reliability,
            f"Reliability of “{name}”",
            "Predicted probability",
            "Fraction of reviews, natural share",
        ),
        (threshold, f"Threshold for “{name}”", "Threshold", "Precision, recall, cost"),
        (coverage, "Not answering the least certain reviews", "Coverage", "Wrong among answered"),
    ):
        axes.set_title(title, fontsize=10)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def _reliability(axes: Axes, reviews: DecidedReviews) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
    curves = {"model": reviews.before, "rule": reviews.p}
    for (name, p), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(*reviews.reliability(p), marker="o", markersize=3, color=colour, label=f"by the {name}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _by_threshold(axes: Axes, reviews: DecidedReviews) -> None:
    """Draw precision, recall and cost over the threshold, and the rule's threshold."""
    effects = reviews.effects()
    axes.plot(THRESHOLDS, effects.precision, color=BLUE, label="precision")
    axes.plot(THRESHOLDS, effects.recall, color=COLOURS[0], label="recall")
    cost = effects.relative_cost(reviews.cost_of_wrong)
    axes.plot(THRESHOLDS, cost, color=COLOURS[2], label="cost (1 if never answered)")
    if reviews.own_threshold is not None:
        label = f"the rule: {reviews.own_threshold:.2f}"
        axes.axvline(reviews.own_threshold, color=GREY, linewidth=1, linestyle=":", label=label)
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))


def _risk(axes: Axes, reviews: DecidedReviews, rule: DecisionRule) -> None:
    """Draw the fraction of wrong answers over the fraction of reviews answered, the surest ones first."""
    axes.plot(*reviews.risk(), color=BLUE, label="risk")
    if rule.band is not None:
        kept = reviews.shares[reviews.confidence >= rule.band.below].sum()
        axes.axvline(kept, color=GREY, linewidth=1, linestyle=":", label=f"the rule answers {kept:.1%}")
        axes.axhline(rule.band.risk, color=COLOURS[0], linewidth=0.8, linestyle="--", label="requested")
    axes.set(xlim=(0.5, 1), ylim=(0, None))
