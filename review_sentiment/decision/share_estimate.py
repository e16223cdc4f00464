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
JEFFREYS = 0.5
DECIMALS = 2
"""Of log-probabilities: equal ones are computed once, which with two classes leaves about a thousand."""
MAX_ITERATIONS, TOLERANCE = 500, 1e-5


@dataclass(frozen=True)
class ShareEstimate:
    """Class shares [c] with the ends of their 95 % intervals, estimated from reviews."""

    shares: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def estimate_shares(log_probs: npt.NDArray[np.float64], rule: DecisionRule) -> ShareEstimate:
    """Estimate the class shares from log-probabilities [n, c] of at least one review.

    Expectation maximisation finds the shares that make the scores likeliest: they equal the mean of the
    probabilities that they imply (Saerens, Latinne and Decaestecker, 2002). It takes Platt's calibration,
    also if the rule has a temperature: an offset that is left out hardly changes the log loss, but it biases
    every share. Of more than `KEPT` reviews it takes a random sample.

    The interval repeats the estimate for draws of slopes and offsets and of the reviews. Reviews are drawn by
    the Bayesian bootstrap: each gets a random weight with mean 1 (D. Rubin, Annals of Statistics 9, 1981). An
    ordinary bootstrap of 20 positive reviews would be certain that there are no negative ones. So, as in
    Jeffreys' prior for proportions, each label also has half a review of its own. As is usual with that prior
    (L. Brown, T. Cai and A. DasGupta, Statistical Science 16, 2001), the interval reaches to the estimate if
    that is 0 or 1.
    """
    n, c = len(log_probs), len(rule.labels)
    if n > KEPT:
        log_probs = log_probs[np.random.default_rng(SAMPLE_SEED).choice(n, KEPT, replace=False)]
    rows, counts = np.unique(centred(log_probs).round(DECIMALS), axis=0, return_counts=True)
    calibration = rule.calibration
    platt = np.array(calibration.platt)
    found = _likeliest_shares(platt[:c] * rows + platt[c:], counts, np.zeros(c), np.array(rule.prior))
    rng = np.random.default_rng(DRAW_SEED)
    drawn = rng.multivariate_normal(platt, np.array(calibration.covariance), DRAWS, method="svd")
    shares = [
        _likeliest_shares(
            np.maximum(one[:c], SMALLEST_SLOPE) * rows + one[c:],
            rng.gamma(counts),
            rng.gamma(np.full(c, JEFFREYS)),
            found,
        )
        for one in drawn
    ]
    low, high = np.quantile(shares, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    low, high = np.minimum(low, found), np.maximum(high, found)
    return ShareEstimate(tuple(found.tolist()), tuple(low.tolist()), tuple(high.tolist()))


def _likeliest_shares(
    scores: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    known: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the shares [c] for calibrated scores [rows, c] with weights [rows].

    `known` [c] is the weight of reviews whose label is known.
    """
    likelihoods = np.exp(scores - scores.max(-1, keepdims=True))
    total = weights.sum() + known.sum()
    shares = start
    for _ in range(MAX_ITERATIONS):
        p = likelihoods * shares
        found = (weights @ (p / p.sum(-1, keepdims=True)) + known) / total
        if np.abs(found - shares).max() < TOLERANCE:
            return np.asarray(found)
        shares = found
    return shares
