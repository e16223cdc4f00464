"""The scores of reviews, which model gave them, and which rows of a file they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Scores:
    """The labels' log-probabilities [n, c] of n reviews, and whether a student gave those of a review [n]."""

    log_probs: npt.NDArray[np.float64]
    by_student: npt.NDArray[np.bool_]

    @classmethod
    def of_version(cls, log_probs: npt.NDArray[np.float64]) -> Scores:
        """Return log-probabilities [n, c] that a version gave without a student."""
        return cls(log_probs, np.zeros(len(log_probs), dtype=bool))

    def rows(self, start: int, end: int) -> Scores:
        """Return the scores of some of the reviews."""
        return Scores(self.log_probs[start:end], self.by_student[start:end])

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Return the scores of all parts, of which there is at least one, in their order."""
        return cls(
            np.concatenate([part.log_probs for part in parts]),
            np.concatenate([part.by_student for part in parts]),
        )


@dataclass(frozen=True)
class RowScores:
    """Scores of consecutive rows that can be scored; `failed` has the places [m] of the others, from 0."""

    scores: Scores
    failed: npt.NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.scores.log_probs) + len(self.failed)

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """Return of each row whether it was scored."""
        good = np.ones(self.rows, dtype=bool)
        good[self.failed] = False
        return good

    @classmethod
    def joined(cls, parts: Sequence[RowScores]) -> RowScores:
        """Return the scores of consecutive parts, of which there is at least one."""
        starts = np.cumsum([0, *(part.rows for part in parts)])
        failed = [part.failed + start for part, start in zip(parts, starts, strict=False)]
        return cls(Scores.joined([part.scores for part in parts]), np.concatenate(failed))
