"""A model's answers: as arrays beside the gold labels, and as the table that users get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule

UNSURE = "unsure"
"""Column that says whether a version's rule leaves a review unanswered."""
POSSIBLE = "possible"
"""Column with the labels that stay possible, such as `negative|neutral`, if there are more than two."""


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

    @property
    def log_probs(self) -> npt.NDArray[np.float64]:
        """Return the log-probabilities [n, c]; that of a probability of 0 is finite."""
        return np.asarray(np.log(np.maximum(self.probabilities, np.finfo(float).tiny)))


def probability_columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns with the labels' probabilities."""
    return [f"p_{label}" for label in labels]


def doubt_columns(rule: DecisionRule) -> list[str]:
    """Return the columns that a rule with a band of abstention adds."""
    if rule.band is None:
        return []
    return [UNSURE] if rule.band.possible_at is None else [UNSURE, POSSIBLE]


def answer_columns(rule: DecisionRule) -> list[str]:
    """Return the columns of `answer_table`."""
    return ["label", "probability", *probability_columns(rule.labels), *doubt_columns(rule)]


def answer_table(rule: DecisionRule, log_probs: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Return the answers of a rule to scores [n, c], the one way to them for `score`, `serve` and MLflow.

    The columns are the label, its probability, and those of all labels (p_<label>). The probabilities are
    calibrated, and the label follows from them. If the rule has a band in which it does not answer, `unsure`
    says whether a review is in it; with more than two labels, `possible` has its prediction set.
    """
    probabilities = rule.probabilities(log_probs)
    answered = rule.answers(probabilities)
    sets = rule.possible(probabilities)
    answers = {
        "label": [rule.labels[index] for index in answered],
        "probability": probabilities[range(len(answered)), answered],
        **dict(zip(probability_columns(rule.labels), probabilities.T, strict=True)),
        UNSURE: rule.unsure(probabilities),
        POSSIBLE: None if sets is None else ["|".join(compress(rule.labels, one)) for one in sets],
    }
    return pd.DataFrame(answers, columns=answer_columns(rule))


def labels_of(predictions: pd.DataFrame) -> list[str]:
    """Return the labels of a table of predictions, in the order of the class index."""
    names = map(str, predictions.columns)
    return [name.removeprefix("p_") for name in names if name.startswith("p_")]
