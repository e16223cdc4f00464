"""The comparison of all that can answer: its sample, what counts as an answer, and the measured figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks import rival_rounds, rivals
from benchmarks.rival_models import Absent, Given, Rival, as_labels, by_scorer
from benchmarks.rival_rounds import Sample, Timed, drawn, measured, on_front, quality
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.errors import UsageError
from review_sentiment.scoring.scorer import Scorer
from tests.unit.review_sentiment.arms.test_combination import Stub

LABELS = ("negative", "positive")
SHARES = {"negative": 0.1, "positive": 0.9}


def reviews(negative: int, positive: int) -> pd.DataFrame:
    """Return reviews of which every second one stands for no review of production."""
    label = ["negative"] * negative + ["positive"] * positive
    number = range(len(label))
    return pd.DataFrame(
        {
            "review_id": [str(n) for n in number],
            "label": label,
            "title": [f"title {n}" for n in number],
            "text": [f"text {n}" for n in number],
            "weight": [float(n % 2) for n in number],
        }
    )


def sample(gold: Sequence[int]) -> Sample:
    texts = [f"text {number}" for number in range(len(gold))]
    return Sample(LABELS, tuple(texts), [""] * len(gold), texts, np.array(gold))


def always(name: str, answers: Sequence[int], speed: float) -> Rival:
    """Return a rival that gives the first of the answers to as many reviews as it gets."""
    return Rival(name, lambda titles, _texts: Given(np.array(answers[: len(titles)])), 2.0 * speed)


def test_a_sample_has_the_natural_shares_and_follows_the_weights() -> None:
    found = drawn(reviews(30, 200), SHARES, 50, seed=1)
    assert found.counts == {"negative": 5, "positive": 45}
    assert all(int(number) % 2 for number in found.ids)
    assert [found.labels[gold] for gold in found.gold] == [
        "negative" if int(number) < 30 else "positive" for number in found.ids
    ]
    assert found.texts == [f"text {number}" for number in found.ids]
    assert list(found.gold) != sorted(found.gold), "in random order"
    assert drawn(reviews(30, 200), SHARES, 50, seed=1).ids == found.ids
    assert drawn(reviews(30, 200), SHARES, 50, seed=2).ids != found.ids


def test_a_sample_keeps_the_shares_if_reviews_are_missing() -> None:
    assert drawn(reviews(6, 400).assign(weight=1.0), SHARES, 200, seed=1).counts == {
        "negative": 6,
        "positive": 54,
    }
    with pytest.raises(UsageError, match=r"none that is negative, which has 10.0%.*Raise --reviews"):
        drawn(reviews(30, 200), SHARES, 4, seed=1)


def test_a_generated_text_answers_with_the_label_that_it_starts_with() -> None:
    given = as_labels([" positive", "negative.", "The review is positive", ""], LABELS)
    assert given.answered.tolist() == [1, 0, -1, -1]
    assert quality(given, sample([1, 0, 1, 0])) == (0.5, None)


def test_a_version_answers_by_its_rule() -> None:
    scorer = Scorer(Stub(1.0), DecisionRule.raw(LABELS, (0.1, 0.9)))
    texts = ["a", "ap", "app", "appp"]  # log odds of "positive" from -2 to 1, before the shares
    given = by_scorer("version", scorer, 1.0).answer([""] * 4, texts)
    assert given.answered.tolist() == [1, 1, 1, 1]
    balanced = Scorer(Stub(1.0), DecisionRule.raw(LABELS, (0.5, 0.5)))
    given = by_scorer("version", balanced, 1.0).answer([""] * 4, texts)
    assert given.answered[[0, 1, 3]].tolist() == [0, 0, 1]
    accuracy, auc = quality(given, sample([0, 0, 1, 1]))
    assert auc == 1.0
    assert accuracy >= 0.75


def test_all_are_measured_in_turn_and_another_one_starts_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    speeds = {name: count(start, 10) for name, start in (("a", 10), ("b", 100))}

    def timed(rival: Rival, _sample: Sample) -> Timed:
        turns.append(rival.name)
        return Timed(next(speeds[rival.name]), 0.5, 3.0, 4.0)

    monkeypatch.setattr(rival_rounds, "timed", timed)
    both = [always("a", [1, 1], 1.0), replace(always("b", [1, 0], 2.0), training_seconds=7.0)]
    said: list[str] = []
    found = measured(both, sample([1, 1]), 3, said.append)
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert [one.speeds for one in found] == [(10, 20, 30), (100, 110, 120)]
    assert [one.accuracy for one in found] == [1.0, 0.5]
    assert (found[1].cost.reviews_per_second, found[1].cost.training_seconds) == (110, 7.0)
    assert on_front(found) == {"a", "b"}
    assert on_front([*found, replace(found[1], name="c", accuracy=1.0)]) == {"c"}
    assert said[0] == "a: accuracy 1.000"

    comparison = rivals.Comparison(sample([1, 1]), found, [Absent("vLLM", "not installed")], "a machine")
    assert comparison.as_json()["ratios"]["b / a"] == {"median": 5.5, "min": 4.0, "max": 10.0}
    text = comparison.as_text()
    assert "0 negative and 2 positive evaluation reviews" in text
    assert "| b | 0.500 | - | 110.0 | 5.5 (4-10) | 0.5 | 3.0 | 4.0 | 4.0 | 7 | yes |" in text
    assert "Not measured: vLLM: not installed" in text


def test_a_fast_rival_answers_again_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, cpu = count(0.0, 0.375), count(0.0, 1.0)
    monkeypatch.setattr(rival_rounds, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    rival = replace(always("a", [0] * 4, 1.0), cpu_seconds=lambda: next(cpu))
    found = rival_rounds.timed(rival, sample([0] * 4))
    # It answers 4 reviews at 0 s, 0.375 s and 0.75 s, stops at 1.125 s, and the clock shows 1.5 s at the end.
    assert found.reviews_per_second == 12 / 1.5
    assert found.cpu_seconds == 1 / 12


def test_an_arm_that_does_not_exist_is_refused() -> None:
    refused = CliRunner().invoke(rivals.main, ["--arms", "tfidf,forest"])
    assert refused.exit_code == 2
    assert "forest: choose among tfidf, static" in refused.output
