"""Scores of reviews whose label is known: what a decision rule is fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class LabelledScores:
    """The label log-probabilities [n, c] of n reviews, their gold class index [n] and sampling weight [n].

    Weights count only within a gold label, where they restore the mix of categories; how many reviews a label
    has says nothing about its share, since the sets are stratified. Every class needs a review.
    """

    log_probs: npt.NDArray[np.float64]
    gold: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    @property
    def classes(self) -> int:
        """Return the number of classes, c."""
        return int(self.log_probs.shape[1])

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Return the number of reviews of each gold label [c]."""
        return np.bincount(self.gold, minlength=self.classes)

    @property
    def within_label(self) -> npt.NDArray[np.float64]:
        """Return the weights [n], scaled so that those of each gold label add up to 1."""
        totals = np.bincount(self.gold, self.weights, self.classes)
        return np.asarray(self.weights / totals[self.gold])

    @property
    def effective_counts(self) -> npt.NDArray[np.float64]:
        """Return the effective number of reviews of each gold label [c]: (sum of w)^2 / sum of w^2.

        Unequal weights make an estimate as uncertain as one from fewer, equally weighted reviews (L. Kish,
        "Survey Sampling", 1965).
        """
        return np.asarray(1 / np.bincount(self.gold, self.within_label**2, self.classes))

    def outcome_counts(
        self, outcomes: npt.NDArray[np.int64], number: int, mass: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the effective counts [..., c, number] of outcomes [..., n] by gold label.

        `mass` [n, c] replaces the gold label by the probability of each: then the counts are those to expect.
        """
        share = np.eye(self.classes)[self.gold] * self.within_label[:, None] if mass is None else mass
        share = share / share.sum(0)
        found = np.stack([(outcomes == outcome) @ share for outcome in range(number)], axis=-1)
        return np.asarray(found * self.effective_counts[:, None])
