"""Find the setting of a rule that is proved to reach a target, among many that are tried.

Testing many thresholds and keeping the best would find one that passes by luck. Fixed-sequence testing tries
them in an order that does not depend on the outcomes, and stops at the first that fails; then the last that
passed reaches the target with the full confidence, however many were tried (A. Angelopoulos et al., "Learn
then Test", arXiv 2110.01052, section 2.2). The order here starts where the proof is expected to be easiest,
judged by the calibrated probabilities alone, and goes on towards the more useful settings. Starting at the
strictest threshold would stop at once: it answers so few reviews that nothing can be proved of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.bounds import CONFIDENCE, Figure
from review_sentiment.errors import DataError
from review_sentiment.names import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from review_sentiment.decision.labelled_scores import LabelledScores

PLANNING_DRAWS = 200
FACTORS = (1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
"""Multiples of the validation reviews that an error message considers."""


@dataclass(frozen=True)
class RiskLimit:
    """At most `risk` wrong answers, with this `confidence`: in all reviews, or in a file of `reviews`."""

    risk: float
    confidence: float = CONFIDENCE
    reviews: int | None = None

    @property
    def described(self) -> str:
        """Return where the limit holds, and how surely."""
        files = f" in a file of {self.reviews:,} reviews" if self.reviews else ""
        return f"with {self.confidence:.0%} confidence{files}"


@dataclass(frozen=True)
class Trial:
    """Settings of a rule in order, from the strictest to the most useful, and what they answer.

    `outcomes` [settings, n] has the answers of each setting, one of `outcomes_n`. `figure` should reach
    `target` at class shares `prior` with the `confidence`: in all reviews, or in a file of `reviews`.
    """

    outcomes: npt.NDArray[np.int64]
    outcomes_n: int
    figure: Figure
    prior: npt.NDArray[np.float64]
    target: float
    confidence: float = CONFIDENCE
    reviews: int | None = None

    def bound(self, counts: npt.NDArray[np.float64]) -> float:
        """Return the lower bound of the figure from counts [c, outcomes]."""
        return float(self.figure.lower(counts, self.prior, self.confidence, reviews=self.reviews))


@dataclass(frozen=True)
class UnreachedError(Exception):
    """No setting is proved to reach the target: the best `bound`, its `estimate` and the `factor` needed.

    `factor` is how many times as many validation reviews would be enough, or None if more do not help.
    """

    bound: float
    estimate: float
    factor: float | None

    @property
    def smallest_risk(self) -> float:
        """Return the smallest risk that can be requested, in steps of 0.001, if 1 - risk is the target."""
        return math.ceil(1000 * (1 - self.bound)) / 1000


def easiest(trial: Trial, scores: LabelledScores, probabilities: npt.NDArray[np.float64]) -> int:
    """Return the index of the setting whose proof the probabilities [n, c] promise to be easiest."""
    mass = (scores.within_label * trial.prior[scores.gold])[:, None] * probabilities
    expected = scores.outcome_counts(trial.outcomes, trial.outcomes_n, mass)
    bounds = trial.figure.lower(expected, trial.prior, trial.confidence, PLANNING_DRAWS, trial.reviews)
    return int(bounds.argmax())


def last_proved(trial: Trial, scores: LabelledScores, start: int) -> int:
    """Return the index of the last setting from `start` on that is proved to reach the target.

    Raises:
        UnreachedError: none is.
    """
    proved = None
    for setting in range(start, len(trial.outcomes)):
        counts = scores.outcome_counts(trial.outcomes[setting], trial.outcomes_n)
        if trial.bound(counts) < trial.target:
            break
        proved = setting
    if proved is None:
        raise _unreached(trial, scores.outcome_counts(trial.outcomes[start], trial.outcomes_n))
    return proved


def _unreached(trial: Trial, counts: npt.NDArray[np.float64]) -> UnreachedError:
    enough = (factor for factor in FACTORS if trial.bound(factor * counts) >= trial.target)
    estimate = float(trial.figure.estimate(counts, trial.prior))
    return UnreachedError(trial.bound(counts), estimate, next(enough, None))


def refusal(
    request: str, reachable: str, unreached: UnreachedError, scores: LabelledScores, labels: Sequence[str]
) -> DataError:
    """Return the error for a target that no setting is proved to reach.

    `request` names the setting and its value, `reachable` what to set instead.
    """
    n = ", ".join(counted(zip(labels, scores.counts, strict=True)))
    advice = "More reviews like these would not be enough: the model itself is not good enough for it."
    if unreached.factor is not None:
        advice = (
            f"Or use about {unreached.factor:g} times as many validation reviews: raise "
            "split.validation_share, split.validation_per_category and split.majority_ratio (reviews of the "
            "frequent labels). Or accept a lower confidence."
        )
    return DataError(f"{request} cannot be guaranteed with {n} validation reviews. {reachable} {advice}")
