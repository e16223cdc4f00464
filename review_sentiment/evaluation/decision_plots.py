"""What a decision rule does at the natural share of the labels, drawn on evaluation reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from review_sentiment.evaluation.plots import BLUE, COLOURS, RELIABILITY_BINS
from review_sentiment.evaluation.predictions import answers_of, production_shares

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes

    from review_sentiment.decision.rule import DecisionRule

THRESHOLDS = np.linspace(0.01, 0.99, 99)
GREY = "#888888"


def decision_figure(predictions: pd.DataFrame, rule: DecisionRule) -> Figure:
    """Draw reliability before and after calibration, precision and recall by threshold, risk by coverage.

    The label is the rarest one. `predictions` are those of all held-out evaluation reviews, with weights.
    """
    answers = answers_of(predictions, rule.labels)
    label = int(np.argmin(rule.prior))
    shares = production_shares(predictions, dict(zip(rule.labels, rule.prior, strict=True)))
    p = rule.probabilities(answers.log_probs)
    is_label = answers.gold == label
    figure = Figure(figsize=(11, 4), layout="constrained")
    reliability, threshold, coverage = figure.subplots(1, 3)
    before = answers.probabilities[:, label]
    _reliability(reliability, {"model": before, "rule": p[:, label]}, is_label, shares)
    _by_threshold(threshold, p[:, label], is_label, shares, rule)
    right = rule.answers(p) == answers.gold
    _risk(coverage, rule.confidence(p), right, shares, rule)
    name = rule.labels[label]
    for axes, title, x, y in (
        (
            reliability,
            f"Reliability of p({name}) at the natural share",
            "Predicted probability",
            "Fraction of reviews",
        ),
        (threshold, f"Answering “{name}” from a probability on", "Threshold", "Precision and recall"),
        (coverage, "Not answering the least certain reviews", "Coverage", "Wrong among answered"),
    ):
        axes.set_title(title, fontsize=10)
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def _reliability(
    axes: Axes,
    curves: dict[str, npt.NDArray[np.float64]],
    is_label: npt.NDArray[np.bool_],
    shares: npt.NDArray[np.float64],
) -> None:
    """Draw the weighted frequency of the label over its mean probability, in bins of equally many reviews.

    Bins of equal shares of production would nearly all be at probability 0.
    """
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
    for (name, p), colour in zip(curves.items(), COLOURS, strict=False):
        order = np.argsort(p, kind="stable")
        bins = np.arange(len(p)) * RELIABILITY_BINS // len(p)
        mass, predicted, found = (
            np.bincount(bins, shares[order] * one[order], RELIABILITY_BINS)
            for one in (np.ones(len(p)), p, is_label)
        )
        axes.plot(
            predicted / mass,
            found / mass,
            marker="o",
            markersize=3,
            color=colour,
            label=f"by the {name}",
        )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _by_threshold(
    axes: Axes,
    p: npt.NDArray[np.float64],
    is_label: npt.NDArray[np.bool_],
    shares: npt.NDArray[np.float64],
    rule: DecisionRule,
) -> None:
    """Draw precision and recall over the threshold, and the rule's threshold."""
    answered = p >= THRESHOLDS[:, None]  # [thresholds, n]
    hits, mass = answered @ (shares * is_label), answered @ shares
    with np.errstate(invalid="ignore"):
        axes.plot(THRESHOLDS, hits / mass, color=BLUE, label="precision")
    axes.plot(THRESHOLDS, hits / shares[is_label].sum(), color=COLOURS[0], label="recall")
    label = int(np.argmin(rule.prior))
    if rule.threshold is None:
        at = 0.5
    else:
        at = rule.threshold.at if rule.threshold.label == label else 1 - rule.threshold.at
    axes.axvline(at, color=GREY, linewidth=1, linestyle=":", label=f"the rule: {at:.2f}")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02))


def _risk(
    axes: Axes,
    confidence: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    shares: npt.NDArray[np.float64],
    rule: DecisionRule,
) -> None:
    """Draw the fraction of wrong answers over the fraction of reviews answered, the surest ones first."""
    order = np.argsort(-confidence, kind="stable")
    answered = np.cumsum(shares[order])
    axes.plot(answered, np.cumsum((shares * ~right)[order]) / answered, color=BLUE, label="risk")
    if rule.band is not None:
        kept = shares[confidence >= rule.band.below].sum()
        axes.axvline(kept, color=GREY, linewidth=1, linestyle=":", label=f"the rule answers {kept:.1%}")
        axes.axhline(rule.band.risk, color=COLOURS[0], linewidth=0.8, linestyle="--", label="requested")
    axes.set(xlim=(0.5, 1), ylim=(0, None))
