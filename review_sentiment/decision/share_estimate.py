"""Estimate the class shares of reviews without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.bounds import CONFIDENCE
from review_sentiment.decision.calibration import SMALLEST_SLOPE, centred

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule

KEPT = 20_000
"""Reviews of a large file that the estimate uses. Their share differs from the file's by 0.2 points (one
standard error at 12 %); the calibration's uncertainty is several times that."""
SAMPLE_SEED, DRAW_SEED = 0, 1
DRAWS = 100
DECIMALS = 2
"""Of log-probabilities: equal ones are computed once, which with two classes leaves about a thousand."""
MAX_ITERATIONS, TOLERANCE = 500, 1e-5


@dataclass(frozen=True)
class ShareEstimate:
    """Class shares [c] with the ends of their 95 % intervals, estimated from n reviews."""

    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int


class ScoreSample:
    """A uniform sample of at most `KEPT` rows of log-probabilities [n, c], which arrive in chunks.

    Every row gets a random number, and those with the smallest are kept: the same rows for any size of
    chunks.
    """

    def __init__(self, classes: int) -> None:
        self.n = 0
        self.log_probs = np.empty((0, classes))
        self._numbers = np.empty(0)
        self._rng = np.random.default_rng(SAMPLE_SEED)

    def add(self, log_probs: npt.NDArray[np.float64]) -> None:
        """Add a chunk of rows [n, c]."""
        self.n += len(log_probs)
        numbers = np.concatenate([self._numbers, self._rng.random(len(log_probs))])
        rows = np.concatenate([self.log_probs, log_probs])
        kept = np.sort(np.argsort(numbers)[:KEPT])
        self.log_probs, self._numbers = rows[kept], numbers[kept]


def estimate_shares(log_probs: npt.NDArray[np.float64], rule: DecisionRule) -> ShareEstimate:
    """Estimate the class shares from log-probabilities [n, c] of at least one review.

    Expectation maximisation finds the shares that make the scores likeliest: they equal the mean of the
    probabilities that they imply (Saerens, Latinne and Decaestecker, 2002). It takes Platt's calibration,
    also if the rule has a temperature: an offset that is left out hardly changes the log loss, but it biases
    every share. The interval repeats the estimate for draws of the reviews (bootstrap) and of slopes and
    offsets.
    """
    rows, counts = np.unique(centred(log_probs).round(DECIMALS), axis=0, return_counts=True)
    calibration = rule.calibration
    platt, c = np.array(calibration.platt), len(rule.labels)
    found = _likeliest_shares(platt[:c] * rows + platt[c:], counts, np.array(rule.prior))
    rng = np.random.default_rng(DRAW_SEED)
    n = len(log_probs)
    drawn = rng.multivariate_normal(platt, np.array(calibration.covariance), DRAWS, method="svd")
    shares = [
        _likeliest_shares(
            np.maximum(one[:c], SMALLEST_SLOPE) * rows + one[c:], rng.multinomial(n, counts / n), found
        )
        for one in drawn
    ]
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return ShareEstimate(tuple(found.tolist()), tuple(low.tolist()), tuple(high.tolist()), n)


def _likeliest_shares(
    scores: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], start: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the shares [c] for calibrated scores [rows, c], each found `counts` [rows] times."""
    likelihoods = np.exp(scores - scores.max(-1, keepdims=True))
    shares = start
    for _ in range(MAX_ITERATIONS):
        p = likelihoods * shares
        found = counts @ (p / p.sum(-1, keepdims=True)) / counts.sum()
        if np.abs(found - shares).max() < TOLERANCE:
            return np.asarray(found)
        shares = found
    return shares
