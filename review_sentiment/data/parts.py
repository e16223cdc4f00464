"""Which part each review belongs to: by a hash of its group, or by its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.hashing import unit_interval

if TYPE_CHECKING:
    import numpy.typing as npt

PARTS = ("train", "validation", "evaluation")
TRAIN, VALIDATION, EVALUATION = range(len(PARTS))
UNKNOWN = -1


@dataclass(frozen=True)
class HeldOutShares:
    """Fractions of the groups, or of the latest reviews, that are held out."""

    evaluation: float
    validation: float

    @property
    def both(self) -> float:
        """Return the fraction that is not for training."""
        return self.evaluation + self.validation


def part_of_group(group: str, shares: HeldOutShares, seed: int) -> int:
    """Return the part of the reviews of a group."""
    # `place` is in [0, 1) and belongs to the group. The parts are three intervals, and evaluation is the
    # first: a larger validation share takes groups from training only.
    place = unit_interval(str(seed), "product", group)
    if place < shares.evaluation:
        return EVALUATION
    return VALIDATION if place < shares.both else TRAIN


def parts_by_group(reviews: pd.DataFrame, shares: HeldOutShares, seed: int) -> npt.NDArray[np.int8]:
    """Return the part of each review by its `group` or else its `user`; `UNKNOWN` if it has neither."""
    groups = reviews["group"].fillna("user " + reviews["user"])
    parts = np.full(len(groups), UNKNOWN, np.int8)
    known = groups.notna().to_numpy()
    parts[known] = [part_of_group(group, shares, seed) for group in groups[known]]
    return parts


def parts_by_time(times: npt.NDArray[np.float64], shares: HeldOutShares) -> npt.NDArray[np.int8]:
    """Return the parts of the past, of the time before the latest reviews, and of these.

    Reviews of the same time, such as those of a day, are in one part.
    """
    of_all = pd.Series(times)
    parts = np.full(len(times), TRAIN, np.int8)
    for part, share in ((VALIDATION, shares.both), (EVALUATION, shares.evaluation)):
        parts[times >= of_all.quantile(1 - share, interpolation="higher")] = part
    return parts
