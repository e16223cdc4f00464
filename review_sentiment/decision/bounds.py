"""Confidence bounds of figures at the natural class shares, from reviews that were drawn label by label.

Accuracy, recall, precision and the risk of answered reviews are all good / (good + bad), where `good` and
`bad` are sums over the gold labels of share times rate. Within a label, the reviews with an outcome are
binomial. The bounds combine those of the labels as in M. Fay, M. Proschan and E. Brittain, "Combining
One-Sample Confidence Procedures for Inference in the Two-Sample Case", Biometrics 71 (2015): each rate is
drawn from the distribution whose quantiles are its Clopper-Pearson bounds, Beta(x + 1, n - x) for a rate that
should not be underestimated and Beta(x, n - x + 1) for one that should not be overestimated, and the bound is
a quantile of the ratios. With a single rate this is Clopper and Pearson's exact bound. It is cautious: in
simulation it covers 95 to 99 % for 95. Jeffreys' posterior, Beta(x + 1/2, n - x + 1/2), is narrower, but a
guarantee of "no error in 100 reviews" needs the exact bound of 3 %, not 1.9 %. Weighted reviews count with
their effective number (E. Korn and B. Graubard, Survey Methodology 24, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

CONFIDENCE = 0.95
"""One-sided confidence that a requested precision or recall is reached; two-sided of intervals."""
DRAWS = 1_000
SEED = 0
TINY = 1e-6
"""Stands for 0 in a Beta distribution, which then is a point at 0 or 1."""


@dataclass(frozen=True)
class Figure:
    """good / (good + bad): whether each gold label and outcome [c, outcomes] is good, bad or neither."""

    good: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]

    def estimate(
        self, counts: npt.NDArray[np.float64], prior: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the estimate [...] from counts [..., c, outcomes] at class shares [c]; NaN for 0 / 0."""
        rates = counts / counts.sum(-1, keepdims=True)
        good, bad = ((rates * mask).sum(-1) @ prior for mask in (self.good, self.bad))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(good / (good + bad))

    def lower(
        self,
        counts: npt.NDArray[np.float64],
        prior: npt.NDArray[np.float64],
        confidence: float = CONFIDENCE,
        draws: int = DRAWS,
    ) -> npt.NDArray[np.float64]:
        """Return the one-sided lower bound [...] from effective counts [..., c, outcomes] at shares [c]."""
        return np.asarray(np.quantile(self._pessimistic(counts, prior, draws), 1 - confidence, axis=-1))

    def interval(
        self, counts: npt.NDArray[np.float64], prior: npt.NDArray[np.float64], confidence: float = CONFIDENCE
    ) -> tuple[float, float]:
        """Return the two-sided interval from effective counts [c, outcomes] at class shares [c]."""
        one_sided = (1 + confidence) / 2
        low = self.lower(counts, prior, one_sided)
        # The upper bound is one minus the lower bound of the complement.
        high = 1 - Figure(self.bad, self.good).lower(counts, prior, one_sided)
        return float(low), float(high)

    def _pessimistic(
        self, counts: npt.NDArray[np.float64], prior: npt.NDArray[np.float64], draws: int
    ) -> npt.NDArray[np.float64]:
        """Return draws [..., draws] of the figure with bad rates too large and good rates too small."""
        rng = np.random.default_rng(SEED)
        total = counts.sum(-1)
        bad, good = ((counts * mask).sum(-1) for mask in (self.bad, self.good))
        neither = total - bad - good
        # A rate that can only be 0 or 1 is not drawn: only its own reviews count for a label's recall.
        has_bad, has_good, has_neither = (
            np.asarray(mask.any(-1))[:, None] for mask in (self.bad, self.good, ~(self.bad | self.good))
        )
        drawn = rng.beta(_above_0(bad + 1), _above_0(total - bad), (draws, *bad.shape))
        bad_rate = np.where(has_bad, np.where(has_good | has_neither, np.moveaxis(drawn, 0, -1), 1.0), 0.0)
        drawn = rng.beta(_above_0(good), _above_0(neither + 1), (draws, *bad.shape))
        rest = np.where(has_good, np.where(has_neither, np.moveaxis(drawn, 0, -1), 1.0), 0.0)
        good_rate = (1 - bad_rate) * rest
        goods, bads = (np.einsum("...kd,k->...d", rate, prior) for rate in (good_rate, bad_rate))
        return np.asarray(goods / np.maximum(goods + bads, TINY**2))


def accuracy(classes: int, outcomes: int) -> Figure:
    """Return the accuracy of answered reviews; an outcome beyond the classes is no answer."""
    right = np.eye(classes, outcomes, dtype=bool)
    return Figure(right, ~right & (np.arange(outcomes) < classes))


def precision(label: int, classes: int, outcomes: int) -> Figure:
    """Return the precision of a label: the fraction of reviews answered with it whose gold label it is."""
    answered = np.arange(outcomes) == label
    own = (np.arange(classes) == label)[:, None]
    return Figure(own & answered, ~own & answered)


def recall(label: int, classes: int, outcomes: int) -> Figure:
    """Return the recall of a label: the fraction of its reviews that are answered with it."""
    answered = np.arange(outcomes) == label
    own = (np.arange(classes) == label)[:, None]
    return Figure(own & answered, own & ~answered)


def _above_0(parameter: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(parameter, TINY)
