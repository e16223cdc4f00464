"""What a threshold does to a thousand reviews of production."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from review_sentiment.decision.rule import DecisionRule, Threshold
from review_sentiment.evaluation.decision_curves import DecidedReviews, decided_reviews
from tests.unit.review_sentiment.evaluation.test_natural import RULE, table

COST = replace(RULE, objective="cost false_negative=5", threshold=Threshold(0, 5 / 6))


def reviews(rule: DecisionRule = RULE) -> DecidedReviews:
    """Return two negative and two positive reviews, which stand for 15, 5, 72 and 8 % of production."""
    predictions = table([0, 0, 1, 1], [0.1, 0.6, 0.9, 0.3], [3.0, 1.0, 45.0, 5.0])
    return decided_reviews(predictions, rule)


@pytest.mark.parametrize(
    ("threshold", "called", "right"),
    [(0.05, 1000, 200), (0.35, 280, 200), (0.5, 230, 150), (0.8, 150, 150), (0.95, 0, 0)],
)
def test_a_threshold_is_counted_in_reviews_of_production(threshold: float, called: int, right: int) -> None:
    found = reviews().counts(threshold, 1_000)
    assert (found.of_label, found.called, found.right) == (200, called, right)
    assert (found.wrong, found.missed) == (called - right, 200 - right)
    assert found.recall == pytest.approx(right / 200)
    assert found.precision == pytest.approx(right / called if called else math.nan, nan_ok=True)


def test_the_cost_is_that_of_the_rules_objective() -> None:
    """A wrong "negative" costs 5, a missed one 1; never answering "negative" costs 0.2 a review."""
    at = np.array([0.5, 0.95])
    for rule, of_wrong in ((COST, 5), (RULE, 1)):
        found = reviews(rule)
        assert found.cost_of_wrong == pytest.approx(of_wrong)
        cost = found.effects(at).relative_cost(found.cost_of_wrong)
        assert cost == pytest.approx([(of_wrong * 0.08 + 0.05) / 0.2, 1])


def test_the_curves_are_about_the_rarest_label_or_of_more_than_two_the_one_with_a_threshold() -> None:
    three = DecisionRule.raw(("bad", "fair", "good"), (0.1, 0.2, 0.7))
    predictions = table([0, 1], [0.1, 0.9], [1.0, 1.0]).assign(gold=["bad", "good"])
    predictions = predictions.rename(columns={"p_negative": "p_bad", "p_positive": "p_good"}).assign(
        p_fair=0.1
    )
    rules = three, *(replace(three, threshold=Threshold(label, 0.3)) for label in (0, 2))
    found = [decided_reviews(predictions, rule) for rule in rules]
    owns = [(one.label, one.own_threshold) for one in found]
    assert owns == [("bad", None), ("bad", 0.3), ("good", 0.3)]
    assert reviews(replace(RULE, threshold=Threshold(1, 0.7))).own_threshold == pytest.approx(0.3)
    assert reviews().own_threshold == 0.5
