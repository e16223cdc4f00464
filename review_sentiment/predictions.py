"""Tables of predictions: what a model answered to each review, cut into slices, and a few to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from review_sentiment.answers import Answers
from review_sentiment.uncertainty import CONFIDENCE

if TYPE_CHECKING:
    import numpy.typing as npt

UNPARSED = "unparsed"
"""Shown where the model's answer is none of the labels; always counted as wrong."""

PREDICTION_COLUMNS = {
    "review_id": "str",
    "category": "str",
    "gold": "str",
    "predicted": "str",
    "constrained": "str",
    "label_mass": "float64",
}
"""Columns of a table of predictions and their types; then p_<label>, each label's probability."""
LENGTH_QUARTERS = ("shortest quarter", "second quarter", "third quarter", "longest quarter")


def prediction_table(
    reviews: pd.DataFrame,
    labels: Sequence[str],
    probabilities: npt.NDArray[np.float64],
    answered: npt.NDArray[np.int64],
    label_mass: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """Put a model's answers beside the gold labels.

    `reviews` has n rows with review_id, category and label; `probabilities` is
    [n, c]; `answered` [n] is a class index or -1.
    """
    names = np.array([*labels, UNPARSED], dtype=object)
    table = pd.DataFrame(
        {
            "review_id": reviews["review_id"].to_numpy(),
            "category": reviews["category"].to_numpy(),
            "gold": reviews["label"].to_numpy(),
            "predicted": names[answered],
            "constrained": names[probabilities.argmax(axis=1)],
            "label_mass": label_mass,
        }
    ).astype(PREDICTION_COLUMNS)
    return table.assign(**dict(zip(probability_columns(labels), probabilities.T, strict=True)))


def probability_columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns of a table that hold the labels' probabilities."""
    return [f"p_{label}" for label in labels]


def labels_of(predictions: pd.DataFrame) -> list[str]:
    """Return the labels of a table of predictions, in the order of the class index."""
    names = map(str, predictions.columns)
    return [name.removeprefix("p_") for name in names if name.startswith("p_")]


def answers_of(predictions: pd.DataFrame, labels: Sequence[str]) -> Answers:
    """Return a table of predictions as arrays; the gold labels must be among the labels."""
    index = pd.Index(labels)
    return Answers(
        index.get_indexer(pd.Index(predictions["gold"])),
        index.get_indexer(pd.Index(predictions["predicted"])),
        predictions[probability_columns(labels)].to_numpy(dtype=np.float64),
    )


def slice_table(reviews: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how often the model is right by category, stars, length and cut, each with its interval.

    By verified purchase too, where the reviews say so; those that do not are left out there.
    Both tables have the same rows. The intervals of a share are E. B. Wilson's (1927).
    """
    from scipy.stats import binomtest

    right = (predictions["gold"] == predictions["predicted"]).to_numpy()
    # Ranks, so that the quarters are even where many reviews have one length.
    place = (reviews["prompt_tokens"].rank(method="first").to_numpy() - 1) / len(reviews)
    dimensions = {
        "category": reviews["category"],
        "stars": reviews["stars"].astype(str),
        "verified purchase": reviews["verified_purchase"].map({True: "yes", False: "no"}),
        "length": np.array(LENGTH_QUARTERS)[(place * len(LENGTH_QUARTERS)).astype(int)],
        "cut to fit": np.where(reviews["truncated"], "yes", "no"),
    }
    rows = []
    for dimension, values in dimensions.items():
        for value, hits in pd.Series(right).groupby(np.asarray(values)):
            ends = binomtest(int(hits.sum()), len(hits)).proportion_ci(CONFIDENCE, method="wilson")
            rows.append((dimension, str(value), len(hits), float(hits.mean()), ends.low, ends.high))
    return pd.DataFrame(rows, columns=["dimension", "value", "n", "accuracy", "low", "high"])


def sample_rows(predictions: pd.DataFrame, labels: Sequence[str], count: int) -> list[int]:
    """Return row numbers to show: the surest wrong answers, the least sure, and the surest right ones."""
    wrong = predictions["gold"] != predictions["predicted"]
    sureness = predictions[probability_columns(labels)].max(axis=1)
    least_sure = sureness.sort_values(kind="stable").index
    chosen = list(sureness[wrong].sort_values(ascending=False, kind="stable").index[: -(-count // 3)])
    chosen += [row for row in least_sure if row not in chosen][: (count - len(chosen)) // 2]
    surest_right = sureness[~wrong].sort_values(ascending=False, kind="stable").index
    chosen += [row for row in surest_right if row not in chosen][: count - len(chosen)]
    return [int(row) for row in chosen]


def sample_table(
    reviews: pd.DataFrame,
    predictions: pd.DataFrame,
    labels: Sequence[str],
    rows: Sequence[int],
    answers: Sequence[str],
) -> pd.DataFrame:
    """Return text, gold, prediction and raw answer of the chosen rows."""
    shown: list[dict[str, Any]] = [
        {
            "review_id": predictions["review_id"].iloc[row],
            "title": reviews["title"].iloc[row],
            "text": reviews["text"].iloc[row],
            "category": predictions["category"].iloc[row],
            "gold": predictions["gold"].iloc[row],
            "prediction": predictions["predicted"].iloc[row],
            "probability": round(float(predictions[probability_columns(labels)].iloc[row].max()), 4),
            "raw_answer": answer,
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    columns = ["review_id", "title", "text", "category", "gold", "prediction", "probability", "raw_answer"]
    return pd.DataFrame(shown, columns=columns)
