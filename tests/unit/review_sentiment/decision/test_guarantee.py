"""Fixed-sequence testing: luck after a failure does not count."""

from __future__ import annotations

import numpy as np
import pytest

from review_sentiment.decision import bounds
from review_sentiment.decision.guarantee import Trial, UnreachedError, last_proved
from review_sentiment.decision.labelled_scores import LabelledScores

GOLD = np.repeat([0, 1], 100)
SCORES = LabelledScores(np.eye(2)[GOLD], GOLD, np.ones(200))
PRIOR = np.array([0.5, 0.5])


@pytest.mark.parametrize(
    ("hits", "last"), [((100, 99, 40, 100), 1), ((100, 99, 98, 97), 3), ((100, 80, 97, 97), 0)]
)
def test_the_last_setting_before_the_first_failure_is_taken(hits: tuple[int, ...], last: int) -> None:
    outcomes = np.array([[0] * hit + [1] * (200 - hit) for hit in hits])
    trial = Trial(outcomes, 2, bounds.recall(0, 2, 2), PRIOR, target=0.9)
    assert last_proved(trial, SCORES, start=0) == last


def test_what_is_not_reached_says_what_is_and_how_many_reviews_would_be_enough() -> None:
    outcomes = np.array([[0] * 93 + [1] * 107])
    trial = Trial(outcomes, 2, bounds.recall(0, 2, 2), PRIOR, target=0.9)
    with pytest.raises(UnreachedError) as raised:
        last_proved(trial, SCORES, start=0)
    assert raised.value.estimate == pytest.approx(0.93)
    assert 0.86 < raised.value.bound < 0.9
    assert raised.value.factor is not None
    assert trial.bound(raised.value.factor * SCORES.outcome_counts(outcomes[0], 2)) >= 0.9


@pytest.mark.parametrize("reviews", [50, 250])
def test_a_file_is_held_to_its_own_luck(reviews: int) -> None:
    counts = np.array([[980.0, 20.0], [20.0, 980.0]])
    figure = bounds.accuracy(2, 2)
    low = float(figure.lower(counts, PRIOR, 0.95, 4_000, reviews))
    rng = np.random.default_rng(1)
    in_files = rng.binomial(reviews, 0.98, 20_000) / reviews
    assert low < float(figure.lower(counts, PRIOR, 0.95, 4_000))
    # The bound is met by 95 % of the files; nearly the true rate is known from 2,000 reviews.
    assert 0.95 <= (in_files >= low).mean() <= 0.95 + (in_files == low).mean() + 0.02


def test_a_rule_that_never_answers_is_not_the_safest() -> None:
    counts = np.array([[0.0, 0.0, 500.0], [0.0, 0.0, 500.0]])
    assert bounds.accuracy(2, 3).lower(counts, PRIOR, reviews=100) < 0.9
