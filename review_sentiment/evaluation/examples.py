"""Single predictions to read: the surest right, the surest wrong and the least sure, as a page.

The page is one file that loads nothing. Its look is no part of a step's cache key: an edit of the files in
`pages/` shows with the next evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from review_sentiment.scoring.answers import probability_columns

PER_GROUP = 20
GROUPS = {"surest_wrong": "surest wrong", "least_sure": "least sure", "surest_right": "surest right"}
"""Columns of a table of examples that tell its groups, and their names."""


def example_table(
    reviews: pd.DataFrame, predictions: pd.DataFrame, labels: Sequence[str], samples: pd.DataFrame
) -> pd.DataFrame:
    """Return the first `PER_GROUP` reviews of each group, wrong ones first, each review once.

    `reviews` and `predictions` have the same rows. Of `samples` (those of `predictions.sample_table`) the
    answers that were generated are taken; `raw_answer` is missing where none was. A review may be in two
    groups: there is a column of truth values for each of `GROUPS`.
    """
    wrong = predictions["gold"] != predictions["predicted"]
    by_sureness = predictions[probability_columns(labels)].max(axis=1).sort_values(kind="stable")
    surest = by_sureness[::-1]
    groups = {
        "surest_wrong": surest[wrong].index[:PER_GROUP],
        "least_sure": by_sureness.index[:PER_GROUP],
        "surest_right": surest[~wrong].index[:PER_GROUP],
    }
    rows = list(dict.fromkeys(row for members in groups.values() for row in members))
    table = pd.concat(
        [
            reviews[["title", "text", "stars"]].iloc[rows].reset_index(drop=True),
            predictions.drop(columns="label_mass").iloc[rows].reset_index(drop=True),
        ],
        axis=1,
    )
    generated = dict(zip(samples["review_id"], samples["raw_answer"], strict=True))
    table["raw_answer"] = pd.Series([generated.get(review) for review in table["review_id"]], dtype="str")
    return table.assign(**{name: pd.Index(rows).isin(members) for name, members in groups.items()})


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
