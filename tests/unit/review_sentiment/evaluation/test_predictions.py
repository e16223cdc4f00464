"""Tables of predictions, their slices, and the rows that are shown."""

from __future__ import annotations

import pandas as pd
import pytest

from review_sentiment.evaluation.examples import sample_rows, sample_table
from review_sentiment.evaluation.predictions import (
    LENGTH_QUARTERS,
    PREDICTION_COLUMNS,
    UNPARSED,
    answers_of,
    slice_table,
)
from tests.unit.review_sentiment.evaluation.test_metrics import (
    ANSWERED,
    LABELS,
    P_POSITIVE,
    REVIEWS,
    predictions,
)


def test_a_prediction_table_puts_answers_beside_the_gold_labels() -> None:
    table = predictions()
    types = {**PREDICTION_COLUMNS, "p_negative": "float64", "p_positive": "float64"}
    assert table.dtypes.astype(str).to_dict() == types
    words = {1: "positive", 0: "negative", -1: UNPARSED}
    assert table["predicted"].to_list() == [words[index] for index in ANSWERED]
    assert table["constrained"].to_list() == [words[int(p > 0.5)] for p in P_POSITIVE]
    assert table["p_positive"].to_list() == P_POSITIVE
    assert table["gold"].to_list() == REVIEWS["label"].to_list()


def test_a_table_turns_back_into_numbers() -> None:
    answers = answers_of(predictions(), LABELS)
    assert answers.answered.tolist() == ANSWERED
    assert answers.gold.tolist() == [1] * 5 + [0] * 3
    assert answers.probabilities[:, 1].tolist() == P_POSITIVE


def test_samples_are_confident_mistakes_unsure_answers_and_confident_correct_ones() -> None:
    # Confidence: .9 .8 .7 .65 .7 .8 .6 .55; wrong are d, e, g and h (rows 3, 4, 6, 7).
    assert sample_rows(predictions(), 6) == [4, 3, 7, 6, 0, 1]
    assert sample_rows(predictions(), 0) == []
    right = predictions().assign(predicted=lambda table: table["gold"])
    assert sample_rows(right, 4) == [7, 6, 0, 1]
    assert sorted(sample_rows(predictions(), 99)) == list(range(8))


def test_a_sample_shows_the_review_beside_the_raw_answer() -> None:
    table = sample_table(REVIEWS, predictions(), [7, 0], ["Hm", "positive"])
    assert table["raw_answer"].to_list() == ["Hm", "positive"]
    assert table["review_id"].to_list() == ["h", "a"]
    assert table["text"].to_list() == ["text h", "text a"]
    assert table["prediction"].to_list() == [UNPARSED, "positive"]
    assert table["probability"].to_list() == [0.55, 0.9]
    assert list(sample_table(REVIEWS, predictions(), [], []).columns) == list(table.columns)


def test_a_sample_needs_an_answer_for_every_row() -> None:
    with pytest.raises(ValueError, match="length"):
        sample_table(REVIEWS, predictions(), [0, 1], ["positive"])


def test_slices_divide_the_reviews_by_category_stars_length_and_truncation() -> None:
    reviews = REVIEWS.assign(
        source_label=["5"] * 4 + ["4"] + ["1"] * 3,
        language=["en"] * 5 + ["de"] * 2 + ["unknown"],
        verified_purchase=pd.array([True] * 4 + [False] * 2 + [None] * 2, dtype="boolean"),
        prompt_tokens=[10, 20, 30, 40, 50, 60, 70, 80],
        truncated=[False] * 7 + [True],
    )
    table = slice_table(reviews, predictions()).set_index(["dimension", "value"])
    sizes = table.groupby("dimension")["n"].sum().to_dict()
    assert sizes == {
        "category": 8,
        "source label": 8,
        "language": 7,
        "verified purchase": 6,
        "length": 8,
        "cut to fit": 8,
    }
    assert table.loc[("verified purchase", "yes"), ["n", "accuracy"]].to_list() == [4, 0.75]
    assert table.loc[("verified purchase", "no"), ["n", "accuracy"]].to_list() == [2, 0.5]
    assert table.loc[("category", "Tops"), ["n", "accuracy"]].to_list() == [5, 0.6]
    assert table.loc[("source label", "1"), "accuracy"] == pytest.approx(1 / 3)
    assert [table.loc[("length", quarter), "n"] for quarter in LENGTH_QUARTERS] == [2, 2, 2, 2]
    assert table.loc[("length", LENGTH_QUARTERS[0]), "accuracy"] == 1
    low, high = table.loc[("category", "Tops"), ["low", "high"]]
    assert 0.2 < low < 0.6 < high < 0.9  # Wilson, 3 of 5: 0.23 to 0.88


def test_quarters_are_even_for_equal_lengths_and_unknown_purchases_have_no_slice() -> None:
    unknown = pd.array([None] * len(REVIEWS), dtype="boolean")
    columns = {"source_label": "5", "language": "en", "prompt_tokens": 10, "truncated": False}
    reviews = REVIEWS.assign(**columns, verified_purchase=unknown)
    table = slice_table(reviews, predictions())
    assert set(table["dimension"]) == {"category", "source label", "length", "cut to fit"}
    lengths = table.query("dimension == 'length'")
    assert lengths["n"].to_list() == [2, 2, 2, 2]
    assert isinstance(lengths, pd.DataFrame)
