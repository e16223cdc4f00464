"""Tables of predictions: a model's answer to each review, and its accuracy by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.data.languages import UNKNOWN
from review_sentiment.decision.bounds import CONFIDENCE
from review_sentiment.scoring.answers import Answers, probability_columns

if TYPE_CHECKING:
    import numpy.typing as npt

UNPARSED = "unparsed"
"""Stands for an answer that is not a label; always counted as wrong."""

PREDICTION_COLUMNS = {
    "review_id": "str",
    "category": "str",
    "gold": "str",
    "predicted": "str",
    "constrained": "str",
    "label_mass": "float64",
    "weight": "float64",
}
"""Columns of a table of predictions and their types, followed by p_<label>, each label's probability.

`weight` is the review's (`review_table.COLUMNS`). The probabilities are the model's own; a decision rule
turns them into those of production.
"""
LENGTH_QUARTERS = ("shortest quarter", "second quarter", "third quarter", "longest quarter")


def prediction_table(
    reviews: pd.DataFrame,
    labels: Sequence[str],
    probabilities: npt.NDArray[np.float64],
    answered: npt.NDArray[np.int64],
    label_mass: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """Put a model's answers beside the gold labels.

    `reviews` has n rows with review_id, category, label and weight; `probabilities` is [n, c]; `answered`
    [n] is a class index or -1.
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
            "weight": reviews["weight"].to_numpy() if "weight" in reviews else 1.0,
        }
    ).astype(PREDICTION_COLUMNS)
    return table.assign(**dict(zip(probability_columns(labels), probabilities.T, strict=True)))


def answers_of(predictions: pd.DataFrame, labels: Sequence[str]) -> Answers:
    """Return a table of predictions as arrays; its gold labels must all be in `labels`."""
    index = pd.Index(labels)
    return Answers(
        index.get_indexer(pd.Index(predictions["gold"])),
        index.get_indexer(pd.Index(predictions["predicted"])),
        predictions[probability_columns(labels)].to_numpy(dtype=np.float64),
    )


def production_shares(predictions: pd.DataFrame, shares: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """Return the share of production [n] that each review stands for, at the natural shares of the labels.

    A review counts within its gold label by its weight, and a label by its share.
    """
    within = predictions["weight"] / predictions.groupby("gold")["weight"].transform("sum")
    return np.asarray(within * predictions["gold"].map(shares), dtype=np.float64)


def slice_table(reviews: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracy by category, source label, language, verified purchase, length and truncation.

    Both tables have the same rows. The source label is a dimension if it is finer than the label, as stars
    are, and the language if there are several. Reviews without information on the purchase, or too short to
    tell the language, are not in that slice. The intervals are E. B. Wilson's (1927).
    """
    from scipy.stats import binomtest

    right = (predictions["gold"] == predictions["predicted"]).to_numpy()
    # Ranks make the quarters even if many reviews have the same length.
    place = (reviews["prompt_tokens"].rank(method="first").to_numpy() - 1) / len(reviews)
    languages = reviews["language"].replace(UNKNOWN, None)
    dimensions = {
        "category": reviews["category"],
        "source label": reviews["source_label"],
        "language": languages,
        "verified purchase": reviews["verified_purchase"].map({True: "yes", False: "no"}),
        "length": np.array(LENGTH_QUARTERS)[(place * len(LENGTH_QUARTERS)).astype(int)],
        "cut to fit": np.where(reviews["truncated"], "yes", "no"),
    }
    if reviews["source_label"].nunique() == reviews["label"].nunique():
        del dimensions["source label"]
    if languages.nunique() <= 1:
        del dimensions["language"]
    rows = []
    for dimension, values in dimensions.items():
        for value, hits in pd.Series(right).groupby(np.asarray(values)):
            ends = binomtest(int(hits.sum()), len(hits)).proportion_ci(CONFIDENCE, method="wilson")
            rows.append((dimension, str(value), len(hits), float(hits.mean()), ends.low, ends.high))
    return pd.DataFrame(rows, columns=["dimension", "value", "n", "accuracy", "low", "high"])
