"""What a decision rule does in production, by threshold, probability and coverage, from evaluation reviews.

Everything is about one label and follows from the recorded answers: no model is loaded. The label is the
rarest, or if there are more than two, the one that the rule has a threshold for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.evaluation.intervals import RELIABILITY_BINS
from review_sentiment.evaluation.predictions import answers_of, production_shares

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from review_sentiment.decision.rule import DecisionRule

THRESHOLDS = np.linspace(0.01, 0.99, 99)


@dataclass(frozen=True)
class ThresholdEffects:
    """What answering a label from each of t thresholds on does, in fractions of production's reviews.

    `share` is the label's natural share. `called` [t] is the fraction of reviews that get the label as their
    answer, `right` [t] that of those that have it.
    """

    thresholds: npt.NDArray[np.float64]
    share: float
    called: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]

    @property
    def wrong(self) -> npt.NDArray[np.float64]:
        """Return the fraction of reviews [t] that get the label, but do not have it."""
        return self.called - self.right

    @property
    def missed(self) -> npt.NDArray[np.float64]:
        """Return the fraction of reviews [t] that have the label, but do not get it."""
        return self.share - self.right

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Return the precision [t]; NaN if no review gets the label."""
        with np.errstate(invalid="ignore"):
            return self.right / self.called

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Return the recall [t]."""
        return self.right / self.share

    def relative_cost(self, of_wrong: float) -> npt.NDArray[np.float64]:
        """Return the cost [t], where never answering the label costs 1.

        Getting the label wrongly costs `of_wrong` times as much as missing it.
        """
        return (of_wrong * self.wrong + self.missed) / self.share


@dataclass(frozen=True)
class ThresholdCounts:
    """What a threshold makes of `reviews` reviews of production, in whole numbers that add up.

    `of_label` have the label, `called` get it as their answer, `right` both.
    """

    reviews: int
    of_label: int
    called: int
    right: int
    precision: float
    recall: float

    @property
    def wrong(self) -> int:
        """Return how many get the label, but do not have it."""
        return self.called - self.right

    @property
    def missed(self) -> int:
        """Return how many have the label, but do not get it."""
        return self.of_label - self.right


@dataclass(frozen=True)
class DecidedReviews:
    """Evaluation reviews under a rule, for one label.

    `p` [n] are the label's probabilities by the rule, `before` [n] the model's own. `is_label` [n] says
    whether a review has the label. `shares` [n] are the parts of production that the reviews stand for; they
    add up to 1. `confidence` [n] is that of each review's answer, and `right` [n] whether it is right.
    """

    label: str
    own_threshold: float | None
    cost_of_wrong: float
    p: npt.NDArray[np.float64]
    before: npt.NDArray[np.float64]
    is_label: npt.NDArray[np.bool_]
    shares: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]

    def effects(self, thresholds: npt.NDArray[np.float64] = THRESHOLDS) -> ThresholdEffects:
        """Return what each of the thresholds [t] does."""
        called = self.p >= thresholds[:, None]  # [t, n]
        in_label = self.shares * self.is_label
        return ThresholdEffects(thresholds, float(in_label.sum()), called @ self.shares, called @ in_label)

    def counts(self, threshold: float, reviews: int) -> ThresholdCounts:
        """Return what a threshold makes of this many reviews of production."""
        effects = self.effects(np.array([threshold]))
        called, right = (round(reviews * float(one[0])) for one in (effects.called, effects.right))
        return ThresholdCounts(
            reviews=reviews,
            of_label=round(reviews * effects.share),
            called=called,
            right=right,
            precision=float(effects.precision[0]),
            recall=float(effects.recall[0]),
        )

    def reliability(self, p: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
        """Return the mean probability and the label's frequency [bins], for `p` or `before`.

        The bins have equally many evaluation reviews. Bins of equal shares of production would nearly all be
        at probability 0.
        """
        order = np.argsort(p, kind="stable")
        bins = np.arange(len(p)) * RELIABILITY_BINS // len(p)
        mass, predicted, found = (
            np.bincount(bins, self.shares[order] * one[order], RELIABILITY_BINS)
            for one in (np.ones(len(p)), p, self.is_label)
        )
        with np.errstate(invalid="ignore"):  # fewer reviews than bins
            return predicted / mass, found / mass

    def risk(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Return the coverage and the fraction of wrong answers [n] if the n surest reviews are answered."""
        order = np.argsort(-self.confidence, kind="stable")
        answered = np.cumsum(self.shares[order])
        return answered, np.cumsum((self.shares * ~self.right)[order]) / answered


def decided_reviews(predictions: pd.DataFrame, rule: DecisionRule) -> DecidedReviews:
    """Apply a rule to the predictions on all held-out evaluation reviews, at the rule's class shares."""
    answers = answers_of(predictions, rule.labels)
    label = _label(rule)
    p = rule.probabilities(answers.log_probs)
    own = _own_threshold(rule, label)
    return DecidedReviews(
        label=rule.labels[label],
        own_threshold=own,
        # A threshold t is the best one if a wrong "label" costs t / (1 - t) times as much as a missed one
        # (C. Elkan, "The Foundations of Cost-Sensitive Learning", 2001).
        cost_of_wrong=own / (1 - own) if own is not None and rule.objective.startswith("cost") else 1.0,
        p=p[:, label],
        before=answers.probabilities[:, label],
        is_label=answers.gold == label,
        shares=production_shares(predictions, dict(zip(rule.labels, rule.prior, strict=True))),
        confidence=rule.confidence(p),
        right=rule.answers(p) == answers.gold,
    )


def _label(rule: DecisionRule) -> int:
    if rule.threshold is not None and len(rule.labels) > TWO_CLASSES:
        return rule.threshold.label
    return rule.labels.index(rule.rarest)


def _own_threshold(rule: DecisionRule, label: int) -> float | None:
    """Return the probability from which the rule answers a label; None if other probabilities matter too."""
    if rule.threshold is not None and rule.threshold.label == label:
        return rule.threshold.at
    if len(rule.labels) > TWO_CLASSES:
        return None
    return 0.5 if rule.threshold is None else 1 - rule.threshold.at
