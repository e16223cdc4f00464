"""Two models on the same reviews."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import compare_models
from review_sentiment.evaluation.predictions import UNPARSED
from tests.unit.review_sentiment.evaluation.test_metrics import predictions


def table(right: list[bool], category: str = "Tops") -> pd.DataFrame:
    """Return predictions that are right or wrong, of reviews that are all positive."""
    answers = ["positive" if hit else "negative" for hit in right]
    return pd.DataFrame(
        {
            "review_id": [f"{category}{number}" for number in range(len(right))],
            "category": category,
            "gold": "positive",
            "predicted": answers,
            "constrained": answers,
        }
    )


def test_the_gain_is_strict_for_the_candidate_and_on_shared_reviews_only() -> None:
    candidate = predictions()
    other = (
        candidate.assign(predicted=UNPARSED, constrained="positive").iloc[[7, 3, 0, 4]].reset_index(drop=True)
    )
    found = compare_models(candidate, other, "other", "constrained").overall
    assert (found.gain, found.n) == (pytest.approx(1 / 4 - 3 / 4), 4)
    unparsed = candidate.assign(predicted=UNPARSED)
    assert compare_models(candidate, unparsed, "", "constrained").overall.gain == pytest.approx(-1 / 8)
    assert compare_models(candidate, unparsed, "", "predicted").overall.gain == pytest.approx(4 / 8)


def test_models_without_a_review_in_common_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="different reviews"):
        compare_models(predictions().head(4), predictions().tail(4), "other", "predicted")


def test_the_p_value_is_mcnemars_exact_one() -> None:
    candidate = table([True] * 70 + [False] * 30)
    other = table([True] * 60 + [False] * 10 + [True] * 2 + [False] * 28)
    found = compare_models(candidate, other, "other", "predicted").overall
    assert (found.only_candidate, found.only_other, found.gain) == (10, 2, pytest.approx(0.08))
    assert found.p_value == pytest.approx(2 * binom.cdf(2, 12, 0.5))
    assert found.p_value == pytest.approx(mcnemar([[60, 10], [2, 28]], exact=True).pvalue)
    assert found.significant
    low, high = found.interval
    assert 0 < low < 0.08 < high < 0.17


def test_equal_models_differ_by_nothing() -> None:
    found = compare_models(table([True, False]), table([True, False]), "other", "predicted").overall
    assert (found.gain, found.interval, found.p_value) == (0, (0, 0), 1.0)
    assert not found.significant


def test_a_category_may_have_a_single_review() -> None:
    candidate = pd.concat([table([True] * 5), table([True], "Trend")])
    other = pd.concat([table([True] * 5), table([False], "Trend")])
    found = compare_models(candidate, other, "other", "predicted").categories["Trend"]
    assert (found.gain, found.interval, found.n, found.p_value) == (1, (1, 1), 1, 1)


def test_the_interval_is_of_the_paired_difference() -> None:
    """Two models that err on the same reviews are compared more finely than two that do not."""
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.3
    alike = compare_models(
        table(list(~hard)), table(list(~hard & (rng.random(400) > 0.05))), "other", "predicted"
    ).overall
    apart = compare_models(
        table(list(rng.random(400) > 0.3)), table(list(rng.random(400) > 0.35)), "other", "predicted"
    ).overall
    assert np.ptp(alike.interval) < np.ptp(apart.interval) / 1.5


def test_categories_are_corrected_by_holm() -> None:
    wins = {"Tops": 9, "Trend": 6, "Jackets": 1}
    candidate = pd.concat([table([True] * 20, category) for category in wins])
    other = pd.concat([table([False] * n + [True] * (20 - n), category) for category, n in wins.items()])
    found = compare_models(candidate, other, "other", "predicted").categories
    raw = {category: min(1.0, 2 * 0.5**n) for category, n in wins.items()}
    assert found["Tops"].p_value == pytest.approx(3 * raw["Tops"])
    assert found["Trend"].p_value == pytest.approx(2 * raw["Trend"])
    assert found["Jackets"].p_value == 1.0
    assert {category: one.only_candidate for category, one in found.items()} == wins


def test_a_difference_as_text() -> None:
    found = compare_models(table([True] * 10), table([False] * 10), "other", "predicted").overall
    assert str(found) == "+1.000 [+1.000, +1.000] on 10 reviews, p = 0.002"
