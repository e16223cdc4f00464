"""Metrics, worked out by hand on eight reviews."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from review_sentiment.errors import DataError
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.predictions import UNPARSED, prediction_table

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
LABELS = ("negative", "positive")
# Fifteenths: .55 is alone in the 9th (wrong), .6 wrong and .65 wrong in the 10th, .7 twice (right and wrong)
# in the 11th, .8 twice (both right) in the 13th, .9 (right) in the 14th.
CALIBRATION_ERROR = (abs(0.55 - 1) + (0.6 + 0.65) + abs(1.4 - 1) + abs(1.6 - 2) + abs(0.9 - 1)) / 8


def predictions() -> pd.DataFrame:
    """Return the table of the eight answers."""
    positive = np.array(P_POSITIVE)
    return prediction_table(
        REVIEWS, LABELS, np.stack([1 - positive, positive], axis=1), np.array(ANSWERED), np.full(8, 0.75)
    )


def test_every_figure_is_the_one_worked_out_by_hand() -> None:
    metrics = compute_metrics(predictions(), LABELS)
    assert metrics.headline() == pytest.approx(
        {
            "accuracy": 4 / 8,
            "constrained_accuracy": 5 / 8,
            "precision": (1 / 3 + 3 / 4) / 2,
            "recall": (1 / 3 + 3 / 5) / 2,
            "f1": (1 / 3 + 2 / 3) / 2,
            "roc_auc": 11 / 15,
            "unparsed_rate": 1 / 8,
            "brier": sum((p - (row < 5)) ** 2 for row, p in enumerate(P_POSITIVE)) / 8,
            "calibration_error": CALIBRATION_ERROR,
            "label_mass": 0.75,
            "n": 8,
        }
    )
    assert metrics.category_accuracy == pytest.approx({"Tops": 3 / 5, "Trend": 1 / 3})
    assert metrics.category_n == {"Tops": 5, "Trend": 3}


def test_the_confusion_matrix_has_gold_rows_and_a_last_column_for_unparsed_answers() -> None:
    metrics = compute_metrics(predictions(), LABELS)
    assert metrics.labels == ("negative", "positive")
    assert metrics.confusion == ((1, 1, 1), (2, 3, 0))


def test_an_unparsed_answer_is_wrong_whatever_the_probabilities_say() -> None:
    table = predictions().assign(predicted=UNPARSED)
    metrics = compute_metrics(table, LABELS)
    assert metrics.accuracy == metrics.recall == metrics.f1 == 0
    assert metrics.unparsed_rate == 1
    assert metrics.constrained_accuracy == 5 / 8
    assert metrics.roc_auc == pytest.approx(11 / 15)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (predictions().head(0), "the evaluation set is empty"),
        (predictions().head(4), "4 reviews but none that is negative"),
        (predictions().replace({"gold": {"negative": "neutral"}}), "unknown labels: neutral"),
    ],
)
def test_an_unusable_table_is_an_error(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute_metrics(table, LABELS)


def test_three_classes_are_measured_like_two() -> None:
    reviews = REVIEWS.assign(label=["bad", "so", "good", "bad", "so", "good", "bad", "so"])
    gold = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    probabilities = np.full((8, 3), 0.1) + 0.7 * np.eye(3)[gold]
    table = prediction_table(reviews, ("bad", "so", "good"), probabilities, gold, np.ones(8))
    metrics = compute_metrics(table, ("bad", "so", "good"))
    assert metrics.accuracy == metrics.f1 == metrics.roc_auc == 1
    assert metrics.brier == pytest.approx((0.2**2 + 2 * 0.1**2) / 2)
    assert metrics.calibration_error == pytest.approx(0.2)
    assert metrics.confusion == ((3, 0, 0, 0), (0, 3, 0, 0), (0, 0, 2, 0))
