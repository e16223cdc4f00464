"""A model's answers to labelled reviews, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Answers:
    """Answers to n reviews of c classes.

    `gold` [n] holds class indices; `answered` [n] too, or -1 if the answer was not a label; `probabilities`
    are [n, c].
    """

    gold: npt.NDArray[np.int64]
    answered: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return int(self.probabilities.shape[-1])

    @property
    def constrained(self) -> npt.NDArray[np.int64]:
        """Return the likeliest class of each review."""
        return np.asarray(self.probabilities.argmax(-1))

    def draw(self, rows: npt.NDArray[np.int64]) -> Answers:
        """Return the answers of some rows; a row may occur several times."""
        return Answers(self.gold[rows], self.answered[rows], self.probabilities[rows])


@dataclass(frozen=True)
class KeptAnswers:
    """Answers as plain values, for storage."""

    gold: tuple[int, ...]
    answered: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, answers: Answers) -> KeptAnswers:
        """Return the answers as plain values."""
        rows = tuple(tuple(row) for row in answers.probabilities.tolist())
        return cls(tuple(answers.gold.tolist()), tuple(answers.answered.tolist()), rows)

    def arrays(self) -> Answers:
        """Return the answers as arrays."""
        return Answers(np.array(self.gold), np.array(self.answered), np.array(self.probabilities))


def probability_columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns with the labels' probabilities."""
    return [f"p_{label}" for label in labels]


def labels_of(predictions: pd.DataFrame) -> list[str]:
    """Return the labels of a table of predictions, in the order of the class index."""
    names = map(str, predictions.columns)
    return [name.removeprefix("p_") for name in names if name.startswith("p_")]
