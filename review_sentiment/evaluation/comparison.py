"""Compare two models on the same reviews: which is better, by how much, and in which categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from review_sentiment.decision.bounds import CONFIDENCE
from review_sentiment.errors import DataError
from review_sentiment.evaluation.intervals import BOOTSTRAP_SEED, RESAMPLES, Interval
from review_sentiment.evaluation.predictions import production_shares

if TYPE_CHECKING:
    import numpy.typing as npt

SIGNIFICANCE = 0.05
"""A difference with a smaller p-value is significant."""
AnswerRule = Literal["predicted", "constrained", "decided"]
"""Which answer counts: what the model says, with unparsed answers wrong; its likeliest label; or the label
by its decision rule."""
SIGN_FLIPS = 20_000
RULE = "Both models are judged by their likeliest label; unparsed answers have a gate check of their own."
"""The rule of a comparison on balanced reviews, for the readers of its result."""
RULES = {
    "balanced": RULE,
    "natural": "Reviews count as in production, and each model answers by its own decision rule; unparsed "
    "answers have a gate check of their own.",
}
"""The rule of a comparison by the share of the labels in it."""
CHANGES = ("lost", "won", "both wrong", "both right")
"""What becomes of a review from one model to another."""
GAINS = dict(zip(CHANGES, (-1, 1, 0, 0), strict=True))


@dataclass(frozen=True)
class PairedDifference:
    """The candidate against another model, on the n reviews that both answered.

    `gain` is the difference in accuracy, with its paired bootstrap interval. `only_candidate` and
    `only_other` count the reviews that only one of them answered correctly. `p_value` is from McNemar's exact
    test on these counts (Q. McNemar, 1947), or its weighted form if reviews have weights; across categories
    with Holm's correction (S. Holm, 1979).
    """

    n: int
    gain: float
    interval: Interval
    only_candidate: int
    only_other: int
    p_value: float

    @property
    def significant(self) -> bool:
        """Return whether the two differ beyond chance."""
        return self.p_value < SIGNIFICANCE

    def __str__(self) -> str:
        """Return the gain with its interval and the test."""
        low, high = self.interval
        return f"{self.gain:+.3f} [{low:+.3f}, {high:+.3f}] on {self.n} reviews, p = {self.p_value:.2g}"


@dataclass(frozen=True)
class Comparison:
    """The candidate against another model, overall and by category."""

    other: str
    overall: PairedDifference
    categories: dict[str, PairedDifference]


def compare_models(
    candidate: pd.DataFrame,
    other: pd.DataFrame,
    name: str,
    answers: AnswerRule = "constrained",
    shares: Mapping[str, float] | None = None,
) -> Comparison:
    """Compare two tables of predictions on the reviews that are in both.

    The same rule holds for both models, so that the comparison of B with A is the mirror image of A with B.
    By default each is judged by its likeliest label: a model that knows the answer but not its form must
    still be beaten. The gate checks unparsed answers separately. With the labels' natural `shares`, reviews
    count as in production: by their weight within a label, and a label by its share.

    Raises:
        DataError: the two have no review with the same label in common.
    """
    both = paired_answers(other, candidate, answers)
    if both.empty:
        raise DataError(
            "The two models were evaluated on different reviews, or with different labels, and cannot be "
            "compared."
        )
    gained = both["change"].astype(str).map(GAINS).to_numpy(np.int64)
    counted = None
    if shares is not None:
        compared = candidate.set_index("review_id").loc[both["review_id"]]
        counted = production_shares(compared, shares)
    groups = {str(category): rows for category, rows in both.groupby("category").indices.items()}
    differences = {
        category: _difference(gained[rows], None if counted is None else counted[rows])
        for category, rows in groups.items()
    }
    corrected = _holm([found.p_value for found in differences.values()])
    return Comparison(
        other=name,
        overall=_difference(gained, counted),
        categories={
            category: PairedDifference(**(vars(found) | {"p_value": p_value}))
            for (category, found), p_value in zip(differences.items(), corrected, strict=True)
        },
    )


def paired_answers(
    first: pd.DataFrame, second: pd.DataFrame, answers: AnswerRule = "constrained"
) -> pd.DataFrame:
    """Return `first`'s and `second`'s answers to the reviews that both answered, with `change` of `CHANGES`.

    Rows are in the order of review ids, so that it does not matter which table comes first. A review counts
    only if both tables give it the same label: otherwise one answer could not be right for both.
    """
    keys = ["review_id", "category", "gold"]
    both = first[[*keys, answers]].merge(second[[*keys, answers]], on=keys, suffixes=("_first", "_second"))
    both = both.set_axis([*keys, "first", "second"], axis="columns")
    both = both.sort_values("review_id", ignore_index=True)
    return both.assign(change=_changes(both["gold"], both["first"], both["second"]))


def _changes(gold: pd.Series, before: pd.Series, after: pd.Series) -> pd.Categorical:
    """Return what becomes of each review from one model's answers to another's: one of `CHANGES`."""
    right_before, right_after = (before == gold).to_numpy(), (after == gold).to_numpy()
    found = np.select(
        [right_before & ~right_after, ~right_before & right_after, ~right_before], CHANGES[:3], CHANGES[3]
    )
    return pd.Categorical(found, CHANGES, ordered=True)


def _difference(
    gained: npt.NDArray[np.integer[Any]], counted: npt.NDArray[np.float64] | None
) -> PairedDifference:
    """Compare by the candidate's gain on each review: 1, 0 or -1; `counted` is how much each counts."""
    from scipy.stats import binomtest, bootstrap

    better, worse = int((gained > 0).sum()), int((gained < 0).sum())
    weights = np.ones(len(gained)) if counted is None else counted
    gain = float(np.average(gained, weights=weights))
    interval = (gain, gain)
    if better + worse and len(gained) > 1:  # a bootstrap needs two
        interval = bootstrap(
            (gained * weights, weights),
            lambda gains, sizes, axis: gains.sum(axis) / sizes.sum(axis),
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        ).confidence_interval
    if not better + worse:
        p_value = 1.0
    elif counted is None:
        p_value = float(binomtest(better, better + worse).pvalue)
    else:
        p_value = _sign_flip_p_value((gained * weights)[gained != 0])
    return PairedDifference(
        n=len(gained),
        gain=gain,
        interval=(float(interval[0]), float(interval[1])),
        only_candidate=better,
        only_other=worse,
        p_value=p_value,
    )


def _sign_flip_p_value(gains: npt.NDArray[np.float64]) -> float:
    """Return how often random signs of the weighted gains make their sum at least as large.

    If the two models are equally good, each review that only one answers correctly could as well be the
    other's. With equal weights, this is McNemar's test (R. A. Fisher, 1935, for any weights).
    """
    signs = np.random.default_rng(BOOTSTRAP_SEED).choice((-1.0, 1.0), (SIGN_FLIPS, len(gains)))
    as_large = np.abs(signs @ np.abs(gains)) >= abs(gains.sum()) * (1 - 1e-9)
    return float((as_large.sum() + 1) / (SIGN_FLIPS + 1))  # the observed signs are one of the possible ones


def _holm(p_values: Sequence[float]) -> list[float]:
    """Multiply the smallest of n values by n, the next by n - 1, ...; a larger one never ends up smaller.

    By hand: statsmodels takes 1.5 s to import and collects the process's garbage with every call, 0.3 s.
    """
    values = np.array(p_values)
    order = np.argsort(values)
    factors = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return [float(value) for value in corrected]
