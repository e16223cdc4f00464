"""Which reviews of a part are used: per category, so many of each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.data.review_table import CategoryCounts
from review_sentiment.data.split_keys import BEYOND, KEPT, ONE_CLASS, REASONS, SplitKeys
from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.config import Composition


@dataclass(frozen=True)
class Chosen:
    """The chosen reviews of a part, with their number as index, and the counts of its categories.

    The columns are `category`, `label`, `balanced` and `weight`, as in a `ReviewTable`.
    """

    rows: pd.DataFrame
    counts: tuple[CategoryCounts, ...]

    def class_counts(self) -> dict[str, int]:
        """Return the number of reviews by label."""
        return {str(label): int(count) for label, count in self.rows["label"].value_counts().items()}


@dataclass(frozen=True)
class Quota:
    """How many reviews to choose of each label of a category, and of all; `balanced` of each are marked."""

    each: pd.Series
    total: int | None = None
    balanced: float = np.inf


Quotas = Callable[[CategoryCounts, pd.Series], Quota]
"""Takes a category's counts and the number of its usable reviews by label."""


def held_out_quotas(cap: int, majority_ratio: float) -> Quotas:
    """Return the quotas of a held-out set with at most `cap` balanced reviews per category."""
    return partial(_stratified, cap, majority_ratio)


def training_quotas(cap: int, composition: Composition) -> Quotas:
    """Return the quotas of a training set with at most `cap` reviews per category."""
    return {
        "equal": partial(_stratified, cap, 1.0),
        "rare_first": partial(_rare_first, cap),
        "natural": partial(_natural, cap),
    }[composition]


def chosen_reviews(
    keys: SplitKeys, part: int, source: Mapping[str, CategoryCounts], quotas: Quotas, seed: int
) -> Chosen:
    """Return the chosen reviews of a part."""
    chosen, counts = [_rows_of(keys, np.zeros(0, np.int64), ())], []
    for code, category in enumerate(keys.categories.categories):
        numbers = np.flatnonzero((keys.categories.codes == code) & (keys.parts == part))
        if not len(numbers):
            continue
        reasons = keys.reasons[numbers]
        usable = numbers[reasons == REASONS.index(KEPT)]
        by_label = _by_label(keys, usable)
        if by_label:
            own = _first(keys, by_label, quotas(source[category], _sizes(by_label)))
            chosen.append(own)
            beyond = reasons == REASONS.index(KEPT)
            beyond[np.searchsorted(numbers, own.index)] = False
            reasons[beyond] = REASONS.index(ONE_CLASS if len(by_label) == 1 else BEYOND)
        kept = int((reasons == REASONS.index(KEPT)).sum())
        counts.append(CategoryCounts(category, len(numbers), kept, _counted(keys.ids[numbers], reasons)))
    return Chosen(_shuffled(keys, pd.concat(chosen), seed), tuple(counts))


def _by_label(keys: SplitKeys, numbers: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the numbers of each label's reviews in random order; the first label has the first of all.

    The order is that of the hashes that the categories were sampled by: if more reviews are read, those
    chosen before come first again. So an evaluation setting that needs more reviews does not change the
    training reviews. No two hashes are equal, because reviews with the same text were dropped.
    """
    codes = keys.labels.codes[numbers]
    found = {}
    for code in np.unique(codes):
        own = numbers[codes == code]
        found[str(keys.labels.categories[code])] = own[np.argsort(keys.words[own])]
    return dict(sorted(found.items(), key=lambda item: keys.words[item[1][0]]))


def _sizes(by_label: Mapping[str, npt.NDArray[np.int64]]) -> pd.Series:
    return pd.Series({label: len(numbers) for label, numbers in by_label.items()})


def _first(keys: SplitKeys, by_label: Mapping[str, npt.NDArray[np.int64]], quota: Quota) -> pd.DataFrame:
    """Return the first reviews of each label, in random order."""
    taken = [own[np.arange(len(own)) < quota.each[label]] for label, own in by_label.items()]
    balanced = np.concatenate([np.arange(len(own)) < quota.balanced for own in taken])
    numbers = np.concatenate(taken)
    order = np.argsort(keys.words[numbers])[: quota.total]
    return _rows_of(keys, numbers[order], balanced[order])


def _rows_of(
    keys: SplitKeys, numbers: npt.NDArray[np.int64], balanced: Sequence[bool] | npt.NDArray[np.bool_]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "category": np.asarray(keys.categories[numbers], dtype=object),
            "label": np.asarray(keys.labels[numbers], dtype=object),
            "balanced": np.asarray(balanced, dtype=np.bool_),
            "weight": 1.0,
        },
        index=numbers,
    )


def _shuffled(keys: SplitKeys, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the rows in another random order, the same on every machine.

    In that of the choice the rare class, which is taken whole, would come last, because the other class has
    only small hashes. Then the first rows would not be a random sample of all. The balanced reviews come
    first, so that the first rows of a part are balanced too.
    """
    order = [
        (not balanced, stable_hash(str(seed), "order", f"{keys.ids[number]:016x}"))
        for number, balanced in zip(rows.index, rows["balanced"], strict=True)
    ]
    return rows.iloc[sorted(range(len(order)), key=order.__getitem__)]


def _counted(ids: npt.NDArray[np.uint64], reasons: npt.NDArray[np.int8]) -> dict[str, int]:
    """Return the number of dropped reviews by reason; the reason of the smallest id is first.

    The order is part of the hash of the artifact, and must not depend on that of the tables.
    """
    masks = {REASONS[code]: reasons == code for code in np.unique(reasons) if REASONS[code] != KEPT}
    return {
        reason: int(masks[reason].sum()) for reason in sorted(masks, key=lambda name: ids[masks[name]].min())
    }


def _stratified(cap: int, majority_ratio: float, source: CategoryCounts, sizes: pd.Series) -> Quota:
    """Return equally many reviews of each label up to the cap, and more of the frequent labels.

    The former are marked as balanced. Of a label that is r times as frequent in the source as the rarest,
    there are up to r times as many, or `majority_ratio` times if that is less.
    """
    # With one label there is no balance, and the category gives nothing.
    each = min(cap // len(sizes), sizes.min()) if len(sizes) > 1 else 0
    in_source = _in_source(source, sizes)
    most = ((in_source / in_source.min()).clip(upper=majority_ratio) * each).astype(int)
    return Quota(most, balanced=each)


def _rare_first(cap: int, source: CategoryCounts, sizes: pd.Series) -> Quota:  # noqa: ARG001
    """Return reviews up to the cap: equally many of each label, and more of the others if a label has fewer.

    So a cap takes no rare review away as long as there is a frequent one to take.
    """
    left, each = cap, {}
    for place, (label, size) in enumerate(sizes.sort_values(kind="stable").items()):
        each[label] = min(int(size), left // (len(sizes) - place))
        left -= each[label]
    return Quota(pd.Series(each))


def _natural(cap: int, source: CategoryCounts, sizes: pd.Series) -> Quota:
    """Return reviews up to the cap in the shares that the labels have in the source.

    Taking all would not do: cleaning has kept a maximum of each class.
    """
    in_source = _in_source(source, sizes)
    shares = in_source / in_source.sum()
    return Quota((shares * min(cap, (sizes / shares).min())).round(), total=cap)


def _in_source(source: CategoryCounts, sizes: pd.Series) -> pd.Series:
    """Return how many reviews of each label the source has, for the labels of the reviews."""
    return pd.Series({label: source.in_source(label) for label in sorted(sizes.index)})
