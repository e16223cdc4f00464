"""Metrics, worked out by hand on eight reviews."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from review_sentiment.errors import DataError
from review_sentiment.labels import BINARY
from review_sentiment.metrics import (
    PREDICTION_COLUMNS,
    UNPARSED,
    Evaluation,
    compute_metrics,
    paired_gain,
    prediction_table,
    sample_rows,
    sample_table,
)

REVIEWS = pd.DataFrame(
    {
        "review_id": list("abcdefgh"),
        "category": ["Tops"] * 5 + ["Trend"] * 3,
        "label": ["positive"] * 5 + ["negative"] * 3,
        "title": [f"title {name}" for name in "abcdefgh"],
        "text": [f"text {name}" for name in "abcdefgh"],
    }
)
P_POSITIVE = [0.9, 0.8, 0.7, 0.35, 0.3, 0.2, 0.6, 0.45]
ANSWERED = [1, 1, 1, 0, 0, 0, 1, -1]
"""Class indices: negative is 0, positive 1, and the last answer is neither."""


def predictions() -> pd.DataFrame:
    """Return the table of the eight answers."""
    positive = np.array(P_POSITIVE)
    return prediction_table(
        REVIEWS, BINARY, np.stack([1 - positive, positive], axis=1), np.array(ANSWERED), np.full(8, 0.75)
    )


def test_a_prediction_table_puts_answers_beside_the_gold_labels() -> None:
    table = predictions()
    assert table.dtypes.astype(str).to_dict() == PREDICTION_COLUMNS
    words = {1: "positive", 0: "negative", -1: UNPARSED}
    assert table["predicted"].to_list() == [words[index] for index in ANSWERED]
    assert table["constrained"].to_list() == [words[int(p > 0.5)] for p in P_POSITIVE]
    assert table["p_positive"].to_list() == P_POSITIVE
    assert table["gold"].to_list() == REVIEWS["label"].to_list()


def test_every_figure_is_the_one_worked_out_by_hand() -> None:
    metrics = compute_metrics(predictions(), BINARY)
    assert metrics.headline() == pytest.approx(
        {
            "accuracy": 4 / 8,
            "constrained_accuracy": 5 / 8,
            "precision": (1 / 3 + 3 / 4) / 2,
            "recall": (1 / 3 + 3 / 5) / 2,
            "f1": (1 / 3 + 2 / 3) / 2,
            "roc_auc": 11 / 15,
            "unparsed_rate": 1 / 8,
            "label_mass": 0.75,
            "n": 8,
        }
    )
    assert metrics.category_accuracy == pytest.approx({"Tops": 3 / 5, "Trend": 1 / 3})
    assert metrics.category_n == {"Tops": 5, "Trend": 3}


def test_the_confusion_matrix_has_gold_rows_and_a_last_column_for_unparsed_answers() -> None:
    metrics = compute_metrics(predictions(), BINARY)
    assert metrics.labels == ("negative", "positive")
    assert metrics.confusion == ((1, 1, 1), (2, 3, 0))


def test_an_unparsed_answer_is_wrong_whatever_the_probabilities_say() -> None:
    table = predictions().assign(predicted=UNPARSED)
    metrics = compute_metrics(table, BINARY)
    assert metrics.accuracy == metrics.recall == metrics.f1 == 0
    assert metrics.unparsed_rate == 1
    assert metrics.constrained_accuracy == 5 / 8
    assert metrics.roc_auc == pytest.approx(11 / 15)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (predictions().head(0), "0 reviews of 0 class"),
        (predictions().head(4), "4 reviews of 1 class"),
        (predictions().replace({"gold": {"negative": "neutral"}}), "unknown labels: neutral"),
    ],
)
def test_a_table_that_cannot_be_judged_is_an_error(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_metrics(table, BINARY)


def test_the_fingerprint_names_the_reviews_in_any_order() -> None:
    table = predictions()
    metrics = compute_metrics(table, BINARY)

    def fingerprint(frame: pd.DataFrame) -> str:
        return Evaluation("tuned", metrics, frame, pd.DataFrame()).fingerprint()

    assert fingerprint(table.iloc[::-1]) == fingerprint(table)
    assert fingerprint(table.assign(predicted=UNPARSED)) == fingerprint(table)
    assert fingerprint(table.head(7)) != fingerprint(table)


def test_samples_show_the_surest_wrong_answers_first_then_right_ones() -> None:
    assert sample_rows(predictions(), 4) == [4, 3, 0, 1]
    assert sample_rows(predictions(), 0) == []
    assert sample_rows(predictions().assign(predicted=lambda table: table["gold"]), 3) == [0, 1, 2]


def test_a_sample_shows_the_review_beside_the_raw_answer() -> None:
    table = sample_table(REVIEWS, predictions(), [7, 0], ["Hm", "positive"])
    assert table["raw_answer"].to_list() == ["Hm", "positive"]
    assert table["text"].to_list() == ["text h", "text a"]
    assert table["prediction"].to_list() == [UNPARSED, "positive"]
    assert list(sample_table(REVIEWS, predictions(), [], []).columns) == list(table.columns)


def test_a_sample_needs_an_answer_for_every_row() -> None:
    with pytest.raises(ValueError, match="shorter"):
        sample_table(REVIEWS, predictions(), [0, 1], ["positive"])


def test_the_gain_is_strict_for_the_candidate_and_on_shared_reviews_only() -> None:
    candidate = predictions()
    other = (
        candidate.assign(predicted=UNPARSED, constrained="positive").iloc[[7, 3, 0, 4]].reset_index(drop=True)
    )
    assert paired_gain(candidate, other) == (pytest.approx(1 / 4 - 3 / 4), 4)
    unparsed = candidate.assign(predicted=UNPARSED)
    assert paired_gain(candidate, unparsed) == (pytest.approx(4 / 8 - 5 / 8), 8)
    assert paired_gain(unparsed, unparsed) == (pytest.approx(-5 / 8), 8)


def test_models_without_a_review_in_common_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="different reviews"):
        paired_gain(predictions().head(4), predictions().tail(4))
