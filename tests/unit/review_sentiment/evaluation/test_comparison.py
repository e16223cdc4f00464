"""Two models on the same reviews."""

from __future__ import annotations

from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import AnswerRule, compare_models
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


def test_both_models_are_judged_by_the_same_rule_on_the_reviews_that_they_share() -> None:
    candidate = predictions()
    other = (
        candidate.assign(predicted=UNPARSED, constrained="positive").iloc[[7, 3, 0, 4]].reset_index(drop=True)
    )
    found = compare_models(candidate, other, "other").overall
    assert (found.gain, found.n) == (pytest.approx(2 / 4 - 3 / 4), 4)
    unparsed = candidate.assign(predicted=UNPARSED)
    assert compare_models(candidate, unparsed, "").overall.gain == 0
    assert compare_models(candidate, unparsed, "", "predicted").overall.gain == pytest.approx(4 / 8)


def test_labels_of_another_scheme_are_not_wrong_answers() -> None:
    binary = predictions()
    stars = binary.assign(gold="5 stars", predicted="5 stars", constrained="5 stars")
    with pytest.raises(DataError, match="different labels"):
        compare_models(binary, stars, "other")
    mixed = pd.concat([binary.head(4), stars.tail(4)])
    assert compare_models(binary, mixed, "other").overall.n == 4


LABELS = ("negative", "neutral", "positive")
REVIEWS = st.lists(
    st.tuples(
        st.sampled_from(["Tops", "Shoes"]),
        st.sampled_from(LABELS),
        *[st.sampled_from(LABELS), st.sampled_from([*LABELS, UNPARSED])] * 2,
        st.sampled_from(["both", "both", "first", "second"]),
    ),
    min_size=2,
    max_size=40,
).filter(lambda rows: any(row[-1] == "both" for row in rows))


@settings(max_examples=30)
@given(REVIEWS, st.randoms(use_true_random=False), st.sampled_from(["constrained", "predicted"]))
def test_b_against_a_mirrors_a_against_b(
    rows: list[tuple[str, ...]], order: Random, answers: AnswerRule
) -> None:
    tables = []
    for name, column in (("first", 2), ("second", 4)):
        answered = [
            (f"{number:02d}", row[0], row[1], row[column], row[column + 1])
            for number, row in enumerate(rows)
            if row[-1] in ("both", name)
        ]
        order.shuffle(answered)
        columns = ["review_id", "category", "gold", "constrained", "predicted"]
        tables.append(pd.DataFrame(answered, columns=columns))
    there = compare_models(*tables, "a", answers)
    back = compare_models(*reversed(tables), "b", answers)
    assert there.categories.keys() == back.categories.keys()
    pairs = [(there.overall, back.overall)]
    pairs += [(there.categories[name], back.categories[name]) for name in there.categories]
    for one, other in pairs:
        assert one.n == other.n
        assert one.gain == -other.gain
        assert (one.only_candidate, one.only_other) == (other.only_other, other.only_candidate)
        assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
        assert one.p_value == pytest.approx(other.p_value)


def test_models_without_a_review_in_common_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="different reviews"):
        compare_models(predictions().head(4), predictions().tail(4), "other")


def test_the_p_value_is_mcnemars_exact_one() -> None:
    candidate = table([True] * 70 + [False] * 30)
    other = table([True] * 60 + [False] * 10 + [True] * 2 + [False] * 28)
    found = compare_models(candidate, other, "other").overall
    assert (found.only_candidate, found.only_other, found.gain) == (10, 2, pytest.approx(0.08))
    assert found.p_value == pytest.approx(2 * binom.cdf(2, 12, 0.5))
    assert found.p_value == pytest.approx(mcnemar([[60, 10], [2, 28]], exact=True).pvalue)
    assert found.significant
    low, high = found.interval
    assert 0 < low < 0.08 < high < 0.17


def test_equal_models_differ_by_nothing() -> None:
    found = compare_models(table([True, False]), table([True, False]), "other").overall
    assert (found.gain, found.interval, found.p_value) == (0, (0, 0), 1.0)
    assert not found.significant


def test_a_category_may_have_a_single_review() -> None:
    candidate = pd.concat([table([True] * 5), table([True], "Trend")])
    other = pd.concat([table([True] * 5), table([False], "Trend")])
    found = compare_models(candidate, other, "other").categories["Trend"]
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
    found = compare_models(candidate, other, "other").categories
    raw = {category: min(1.0, 2 * 0.5**n) for category, n in wins.items()}
    assert found["Tops"].p_value == pytest.approx(3 * raw["Tops"])
    assert found["Trend"].p_value == pytest.approx(2 * raw["Trend"])
    assert found["Jackets"].p_value == 1.0
    assert {category: one.only_candidate for category, one in found.items()} == wins


def test_a_difference_as_text() -> None:
    found = compare_models(table([True] * 10), table([False] * 10), "other").overall
    assert str(found) == "+1.000 [+1.000, +1.000] on 10 reviews, p = 0.002"
