"""Drops reviews whose text or user is in another part, so that no part knows another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.data.near_duplicates import near_duplicates, similar_texts
from review_sentiment.data.parts import (
    EVALUATION,
    TRAIN,
    UNKNOWN,
    VALIDATION,
    HeldOutShares,
    part_of_group,
)
from review_sentiment.data.split_keys import NO_USER, SAME_TEXT, SAME_USER, SIMILAR_TEXT, SplitKeys

if TYPE_CHECKING:
    import numpy.typing as npt


def drop_repeated(keys: SplitKeys) -> None:
    """Drop all but one of the reviews with the same text."""
    # The order of the tables must not decide which of them is kept.
    order = np.lexsort((keys.categories.codes, keys.ids, keys.words))
    words = keys.words[order]
    keys.drop(order[1:][words[1:] == words[:-1]], SAME_TEXT)


def keep_similar_together(keys: SplitKeys, shares: HeldOutShares, seed: int) -> None:
    """Assign the reviews with neither group nor user to parts: similar ones, as a group, to the same."""
    alone = keys.parts == UNKNOWN
    if not alone.any():
        return
    compared = keys.left(UNKNOWN)
    ids = pd.Series(keys.ids[compared])
    groups = keys.ids.copy()
    # The smallest id of a cluster names it, so that the order of the reviews does not matter.
    groups[compared] = ids.groupby(similar_texts(keys.texts(compared))).transform("min")
    keys.parts[alone] = [part_of_group(f"{group:016x}", shares, seed) for group in groups[alone]]


def drop_shared(keys: SplitKeys, *, users: bool) -> None:
    """Drop the reviews whose text is similar to one of another part, or whose user is the same if asked."""
    # Users are in several parts, because groups decide. The evaluation keeps all its reviews, so that
    # nothing but its groups shapes what we report; then the validation; training has the most reviews to
    # lose.
    if users:
        evaluation_users = _users(keys, keys.left(EVALUATION))
        held_out_users = np.union1d(evaluation_users, _users(keys, keys.left(VALIDATION)))
        for part, others in ((VALIDATION, evaluation_users), (TRAIN, held_out_users)):
            rows = np.flatnonzero(keys.left(part))
            keys.drop(rows[pd.Series(keys.users[rows]).isin(others)], SAME_USER)
    # Similar texts come last, among the rows that are left: comparing them takes longest by far.
    for part, held_out in ((VALIDATION, (EVALUATION,)), (TRAIN, (EVALUATION, VALIDATION))):
        left = keys.left(part)
        near = near_duplicates(keys.texts(left), keys.texts(keys.left(*held_out)))
        keys.drop(np.flatnonzero(left)[near], SIMILAR_TEXT)


def _users(keys: SplitKeys, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    found = np.unique(keys.users[rows])
    return np.asarray(found[found != NO_USER], dtype=np.uint64)
