"""Two models on the same reviews: whether one is better, by how much, and for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.evaluation.intervals import BOOTSTRAP_SEED, CONFIDENCE, RESAMPLES, Interval

if TYPE_CHECKING:
    import numpy.typing as npt

SIGNIFICANCE = 0.05
"""A smaller p value is called significant."""


@dataclass(frozen=True)
class PairedDifference:
    """How much more often the candidate is right than another model, on the n reviews both answered.

    `gain` is in accuracy, with its paired bootstrap interval. `only_candidate` and `only_other` are the
    reviews that one of them alone had right; `p_value` is that of McNemar's exact test on these
    (Q. McNemar, 1947), within several categories after Holm's correction (S. Holm, 1979).
    """

    n: int
    gain: float
    interval: Interval
    only_candidate: int
    only_other: int
    p_value: float

    @property
    def significant(self) -> bool:
        """Tell whether the two differ beyond chance."""
        return self.p_value < SIGNIFICANCE

    def __str__(self) -> str:
        """Return the gain with its interval and the test."""
        low, high = self.interval
        return f"{self.gain:+.3f} [{low:+.3f}, {high:+.3f}] on {self.n} reviews, p = {self.p_value:.2g}"


@dataclass(frozen=True)
class Comparison:
    """The candidate against another model: over all, and category by category."""

    other: str
    overall: PairedDifference
    categories: dict[str, PairedDifference]


def compare_models(
    candidate: pd.DataFrame,
    other: pd.DataFrame,
    name: str,
    answers_of_other: Literal["predicted", "constrained"],
) -> Comparison:
    """Compare two tables of predictions on the reviews that are in both.

    The candidate's answers count strictly. Those of an untuned model are taken by its likeliest label
    (`constrained`): one that knows the answer but not the form must still be beaten.

    Raises:
        DataError: the two share no review.
    """
    both = candidate[["review_id", "category", "gold", "predicted"]].merge(
        other[["review_id", answers_of_other]].set_axis(["review_id", "other"], axis="columns"),
        on="review_id",
    )
    if both.empty:
        raise DataError("The two models were evaluated on different reviews; nothing can be compared.")
    gold = both["gold"].to_numpy()
    gained = (both["predicted"].to_numpy() == gold).astype(int) - (both["other"].to_numpy() == gold)
    groups = {str(category): gained[rows] for category, rows in both.groupby("category").indices.items()}
    differences = {category: _difference(rows) for category, rows in groups.items()}
    corrected = _holm([found.p_value for found in differences.values()])
    return Comparison(
        other=name,
        overall=_difference(gained),
        categories={
            category: PairedDifference(**(vars(found) | {"p_value": p_value}))
            for (category, found), p_value in zip(differences.items(), corrected, strict=True)
        },
    )


def _difference(gained: npt.NDArray[np.int64]) -> PairedDifference:
    """Compare by what the candidate gained on each review: 1, 0 or -1."""
    from scipy.stats import binomtest, bootstrap

    better, worse = int((gained > 0).sum()), int((gained < 0).sum())
    gain = float(gained.mean())
    interval = (gain, gain)
    if better + worse and len(gained) > 1:  # of one review every draw is that review
        interval = bootstrap(
            (gained,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        ).confidence_interval
    return PairedDifference(
        n=len(gained),
        gain=gain,
        interval=(float(interval[0]), float(interval[1])),
        only_candidate=better,
        only_other=worse,
        p_value=float(binomtest(better, better + worse).pvalue) if better + worse else 1.0,
    )


def _holm(p_values: Sequence[float]) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p_values, method="holm")[1]]
