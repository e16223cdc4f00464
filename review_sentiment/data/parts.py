"""Which part each review belongs to: by a hash of its group, or by its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from review_sentiment.data.near_duplicates import similar_texts
from review_sentiment.hashing import unit_interval

PARTS = ("train", "validation", "evaluation")


@dataclass(frozen=True)
class HeldOutShares:
    """Fractions of the groups, or of the latest reviews, that are held out."""

    evaluation: float
    validation: float

    @property
    def both(self) -> float:
        """Return the fraction that is not for training."""
        return self.evaluation + self.validation


def assigned_parts(
    reviews: pd.DataFrame, by: Literal["group", "time"], shares: HeldOutShares, seed: int
) -> pd.Series:
    """Return the part of each review, whose columns `plain` and `dropped` `splits` has added."""
    return _by_time(reviews, shares) if by == "time" else _by_group(reviews, shares, seed)


def _by_group(reviews: pd.DataFrame, shares: HeldOutShares, seed: int) -> pd.Series:
    # `place` is in [0, 1) and belongs to the group. The parts are three intervals, and evaluation is the
    # first: a larger validation share takes groups from training only.
    place = _groups(reviews).map(lambda group: unit_interval(str(seed), "product", group))
    in_part = [place < shares.evaluation, place < shares.both]
    return pd.Series(np.select(in_part, ["evaluation", "validation"], "train"), index=reviews.index)


def _groups(reviews: pd.DataFrame) -> pd.Series:
    """Return the group of each review: its own, or else its user, or else the reviews that are similar."""
    groups = reviews["group"].fillna("user " + reviews["user"])
    alone = groups.isna() & (reviews["dropped"] == "")
    ids = reviews.loc[alone, "review_id"]
    clusters = pd.Series(similar_texts(reviews.loc[alone, "plain"].tolist()), index=ids.index)
    # The smallest id of a cluster names it, so that the order of the reviews does not matter.
    return groups.fillna(ids.groupby(clusters).transform("min")).fillna(reviews["review_id"])


def _by_time(reviews: pd.DataFrame, shares: HeldOutShares) -> pd.Series:
    """Return the parts of the past, of the time before the latest reviews, and of these.

    Reviews of the same time, such as those of a day, are in one part.
    """
    times = reviews["time"]
    starts = [times.quantile(1 - share, interpolation="higher") for share in (shares.evaluation, shares.both)]
    in_part = [times >= start for start in starts]
    return pd.Series(np.select(in_part, ["evaluation", "validation"], "train"), index=reviews.index)
