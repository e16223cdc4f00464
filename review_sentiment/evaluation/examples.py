"""Choose predictions to read: the most confident mistakes and correct answers, and the least confident."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from review_sentiment.scoring.answers import labels_of, probability_columns

PER_GROUP = 20
GROUPS = {
    "surest_wrong": "most confident mistakes",
    "least_sure": "least confident",
    "surest_right": "most confident correct",
}
"""Groups of examples: the columns that mark them in a stored table, and their names for people."""
SAMPLE_COLUMNS = ["review_id", "title", "text", "category", "gold", "prediction", "probability", "raw_answer"]


def confidence_of(predictions: pd.DataFrame) -> pd.Series[float]:
    """Return the probability of the likeliest label of each review."""
    return predictions[probability_columns(labels_of(predictions))].max(axis=1)


def rows_by_group(predictions: pd.DataFrame) -> dict[str, list[int]]:
    """Return all rows of each of `GROUPS` by their index, the most typical first."""
    confidence = confidence_of(predictions)
    wrong = predictions["gold"] != predictions["predicted"]
    descending = confidence.sort_values(ascending=False, kind="stable").index
    return {
        "surest_wrong": [row for row in descending if wrong[row]],
        "least_sure": list(confidence.sort_values(kind="stable").index),
        "surest_right": [row for row in descending if not wrong[row]],
    }


def example_table(reviews: pd.DataFrame, predictions: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Return the first `PER_GROUP` reviews of each group, mistakes first, each review once.

    `reviews` and `predictions` have the same rows. A review may belong to two groups, so there is a boolean
    column for each of `GROUPS`. `raw_answer` is that of `samples` (from `sample_table`), or missing.
    """
    groups = {name: rows[:PER_GROUP] for name, rows in rows_by_group(predictions).items()}
    rows = list(dict.fromkeys(row for members in groups.values() for row in members))
    table = pd.concat(
        [
            reviews[["title", "text", "source_label"]].iloc[rows].reset_index(drop=True),
            predictions.drop(columns="label_mass").iloc[rows].reset_index(drop=True),
        ],
        axis=1,
    )
    generated = dict(zip(samples["review_id"], samples["raw_answer"], strict=True))
    table["raw_answer"] = pd.Series([generated.get(review) for review in table["review_id"]], dtype="str")
    return table.assign(**{name: pd.Index(rows).isin(members) for name, members in groups.items()})


def sample_rows(predictions: pd.DataFrame, count: int) -> list[int]:
    """Return `count` rows to show: a third of them mistakes, then the least confident, then correct ones."""
    groups = rows_by_group(predictions)
    chosen = groups["surest_wrong"][: -(-count // 3)]
    chosen += [row for row in groups["least_sure"] if row not in chosen][: (count - len(chosen)) // 2]
    chosen += [row for row in groups["surest_right"] if row not in chosen][: count - len(chosen)]
    return [int(row) for row in chosen]


def sample_table(
    reviews: pd.DataFrame, predictions: pd.DataFrame, rows: Sequence[int], answers: Sequence[str | None]
) -> pd.DataFrame:
    """Return text, gold label, prediction and raw answer of the chosen rows; None if nothing was generated.

    Raises:
        ValueError: there are fewer or more answers than rows.
    """
    chosen = predictions.iloc[list(rows)].rename(columns={"predicted": "prediction"})
    texts = reviews[["title", "text"]].iloc[list(rows)]
    table = chosen.assign(
        title=texts["title"].to_numpy(),
        text=texts["text"].to_numpy(),
        probability=confidence_of(chosen).round(4),
        raw_answer=pd.array(list(answers), dtype="str"),
    )
    return table[SAMPLE_COLUMNS].reset_index(drop=True)
