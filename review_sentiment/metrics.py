"""What a model's answers are worth: computed in one way for every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.labels import LabelScheme

UNPARSED = "unparsed"
"""Shown where the model's answer is none of the labels; always counted as wrong."""

PREDICTION_COLUMNS = {
    "review_id": "str",
    "category": "str",
    "gold": "str",
    "predicted": "str",
    "constrained": "str",
    "p_positive": "float64",
    "label_mass": "float64",
}


@dataclass(frozen=True)
class Metrics:
    """Figures of one model on n reviews; every one is a fraction unless it says otherwise.

    `accuracy`, precision, recall, F1 and the confusion matrix are strict: an
    answer outside the labels is wrong. `constrained_accuracy` and `roc_auc`
    look at the labels' probabilities only. Precision, recall and F1 are means
    over the classes. The rows of `confusion` are gold labels, its columns
    the labels and, last, the unparsed answers, in counts.
    """

    n: int
    accuracy: float
    constrained_accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    unparsed_rate: float
    label_mass: float
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    category_accuracy: Mapping[str, float]
    category_n: Mapping[str, int]

    def headline(self) -> dict[str, float]:
        """Return the figures that are single numbers."""
        return {
            "accuracy": self.accuracy,
            "constrained_accuracy": self.constrained_accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "roc_auc": self.roc_auc,
            "unparsed_rate": self.unparsed_rate,
            "label_mass": self.label_mass,
            "n": float(self.n),
        }


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions, their metrics, and a few rows with its raw answers.

    `predictions` has the columns of `PREDICTION_COLUMNS`; `samples` has text,
    gold, prediction and raw answer.
    """

    model: str
    metrics: Metrics
    predictions: pd.DataFrame
    samples: pd.DataFrame

    def fingerprint(self) -> str:
        """Return a hash of the reviews evaluated on: equal for the same rows in any order."""
        return f"{stable_hash(*sorted(self.predictions['review_id'])):016x}"


def prediction_table(
    reviews: pd.DataFrame,
    scheme: LabelScheme,
    probabilities: npt.NDArray[np.float64],
    answered: npt.NDArray[np.int64],
    label_mass: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """Put a model's answers beside the gold labels.

    `reviews` has n rows with review_id, category and label; `probabilities` is
    [n, c]; `answered` [n] is a class index or -1.
    """
    names = np.array([*scheme.names, UNPARSED], dtype=object)
    table = pd.DataFrame(
        {
            "review_id": reviews["review_id"].to_numpy(),
            "category": reviews["category"].to_numpy(),
            "gold": reviews["label"].to_numpy(),
            "predicted": names[answered],
            "constrained": names[probabilities.argmax(axis=1)],
            "p_positive": probabilities[:, scheme.names.index(scheme.positive)],
            "label_mass": label_mass,
        }
    )
    return table.astype(PREDICTION_COLUMNS)


def compute_metrics(predictions: pd.DataFrame, scheme: LabelScheme) -> Metrics:
    """Compute every figure from a table of predictions.

    Raises:
        DataError: the table is empty, or has one class or an unknown label.
    """
    from sklearn.metrics import (
        confusion_matrix,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    gold, predicted = predictions["gold"], predictions["predicted"]
    unknown = set(gold) - set(scheme.names)
    if unknown:
        raise DataError(f"The evaluation set has unknown labels: {', '.join(sorted(unknown))}.")
    if gold.nunique() == 1 or gold.empty:
        raise DataError(
            f"The evaluation set has {len(gold)} reviews of {gold.nunique()} class(es); "
            "metrics need at least two classes."
        )
    labels = list(scheme.names)
    precision, recall, f1, _ = precision_recall_fscore_support(
        gold, predicted, labels=labels, average="macro", zero_division=0.0
    )
    right = gold == predicted
    by_category = right.groupby(predictions["category"])
    confusion = confusion_matrix(gold, predicted, labels=[*labels, UNPARSED])[: len(labels)]
    return Metrics(
        n=len(gold),
        accuracy=float(right.mean()),
        constrained_accuracy=float((gold == predictions["constrained"]).mean()),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        roc_auc=float(roc_auc_score(gold == scheme.positive, predictions["p_positive"])),
        unparsed_rate=float((predicted == UNPARSED).mean()),
        label_mass=float(predictions["label_mass"].mean()),
        labels=scheme.names,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        category_accuracy={str(name): float(value) for name, value in by_category.mean().items()},
        category_n={str(name): int(value) for name, value in by_category.size().items()},
    )


def sample_rows(predictions: pd.DataFrame, count: int) -> list[int]:
    """Return row numbers to show: the surest wrong answers first, then the first right ones."""
    wrong = predictions["gold"] != predictions["predicted"]
    sureness = (predictions["p_positive"] - 0.5).abs()
    surest_wrong = sureness[wrong].sort_values(ascending=False, kind="stable").index[: count // 2]
    right = predictions.index[~wrong][: count - len(surest_wrong)]
    return [int(row) for row in (*surest_wrong, *right)]


def sample_table(
    reviews: pd.DataFrame, predictions: pd.DataFrame, rows: Sequence[int], answers: Sequence[str]
) -> pd.DataFrame:
    """Return text, gold, prediction and raw answer of the chosen rows."""
    shown: list[dict[str, Any]] = [
        {
            "title": reviews["title"].iloc[row],
            "text": reviews["text"].iloc[row],
            "category": predictions["category"].iloc[row],
            "gold": predictions["gold"].iloc[row],
            "prediction": predictions["predicted"].iloc[row],
            "p_positive": round(float(predictions["p_positive"].iloc[row]), 4),
            "raw_answer": answer,
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    columns = ["title", "text", "category", "gold", "prediction", "p_positive", "raw_answer"]
    return pd.DataFrame(shown, columns=columns)


def paired_gain(candidate: pd.DataFrame, other: pd.DataFrame) -> tuple[float, int]:
    """Return the candidate's gain in accuracy on the reviews that both were scored on, and their number.

    The candidate's answers count strictly, the other model's by its likeliest
    label: a base model that knows the answer but not the form must still be beaten.

    Raises:
        DataError: the two share no review.
    """
    right = [
        pd.Series((table["gold"] == table[answers]).to_numpy(), index=table["review_id"], name=answers)
        for table, answers in ((candidate, "predicted"), (other, "constrained"))
    ]
    both = pd.concat(right, axis=1, join="inner")
    if both.empty:
        raise DataError("The two models were evaluated on different reviews; nothing can be compared.")
    return float(both["predicted"].mean() - both["constrained"].mean()), len(both)
