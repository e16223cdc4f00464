"""Bootstrap intervals: the metrics are scikit-learn's, and the coverage is right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sklearn.metrics import (
    brier_score_loss,
    cohen_kappa_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    roc_auc_score,
)

from review_sentiment.evaluation.intervals import figures, intervals
from review_sentiment.scoring.answers import Answers


def some_answers(seed: int, n: int = 200, classes: int = 2, confidence: float = 1.5) -> Answers:
    """Return answers that are often right, some of them outside the labels; every class is there."""
    rng = np.random.default_rng(seed)
    gold = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    logits = rng.normal(size=(n, classes)) + confidence * np.eye(classes)[gold]
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    answered = np.where(rng.random(n) < 0.05, -1, p.argmax(-1))
    return Answers(gold, answered, p)


def drawn(answers: Answers, rows: npt.NDArray[np.int64]) -> Answers:
    """Return the answers of some rows; a row may occur several times."""
    return Answers(answers.gold[rows], answers.answered[rows], answers.probabilities[rows])


@hypothesis_settings(max_examples=25)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), n=st.integers(12, 80))
def test_metrics_are_those_of_scikit_learn(seed: int, classes: int, n: int) -> None:
    answers = some_answers(seed, n, classes)
    labels, one_hot = list(range(classes)), np.eye(classes)[answers.gold]
    precision, recall, f1, _ = precision_recall_fscore_support(
        answers.gold, answers.answered, labels=labels, average="macro", zero_division=0.0
    )
    found = figures(answers)
    assert found["precision"] == pytest.approx(precision)
    assert found["recall"] == pytest.approx(recall)
    assert found["f1"] == pytest.approx(f1)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(one_hot, answers.probabilities, average="macro"))
    assert found["brier"] == pytest.approx(
        brier_score_loss(answers.gold, answers.probabilities, labels=labels, scale_by_half=True)
    )


@hypothesis_settings(max_examples=25)
@given(seed=st.integers(0, 10_000), places=st.permutations(range(5)))
def test_figures_on_a_scale_are_those_of_scikit_learn(seed: int, places: list[int]) -> None:
    answers = some_answers(seed, 60, 5)
    gold, answered = np.array(places)[answers.gold], np.array(places)[answers.constrained]
    found = figures(answers, places)
    assert found["quadratic_kappa"] == pytest.approx(cohen_kappa_score(gold, answered, weights="quadratic"))
    assert found["mean_absolute_error"] == pytest.approx(mean_absolute_error(gold, answered))


def test_many_draws_at_once_are_the_draws_one_by_one() -> None:
    answers = some_answers(1, classes=3)
    draws = np.random.default_rng(2).integers(0, 200, (7, 200))
    counts = np.stack([np.bincount(draw, minlength=200) for draw in draws]).astype(float)
    together = figures(answers, (0, 2, 1), counts)
    for place, draw in enumerate(draws):
        alone = figures(drawn(answers, draw), (0, 2, 1))
        assert {name: float(values[place]) for name, values in together.items()} == pytest.approx(alone)


def test_equal_scores_count_half() -> None:
    p = np.array([0.5, 0.5, 0.2, 0.5, 0.9])
    answers = Answers(np.array([0, 1, 0, 1, 1]), np.zeros(5, int), np.stack([1 - p, p], axis=1))
    assert figures(answers)["roc_auc"] == pytest.approx(roc_auc_score(answers.gold, p)) == 5 / 6


def test_an_interval_contains_the_metric_and_is_reproducible() -> None:
    answers = some_answers(3)
    found = intervals(answers)
    for name, value in figures(answers).items():
        low, high = found[name]
        if name != "calibration_error":  # a draw repeats rows, which makes bins rougher: biased upwards
            assert low <= value <= high, name
    assert intervals(answers) == found
    narrower = intervals(some_answers(3, n=3200))["accuracy"]
    assert 3 < np.ptp(found["accuracy"]) / np.ptp(narrower) < 5  # four times, by the root of 16


def test_the_interval_of_accuracy_is_missed_about_once_in_twenty() -> None:
    """Forty samples of 150 reviews from a model of known accuracy."""
    everything = some_answers(5, n=20_000)
    truth = float(figures(everything)["accuracy"])
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(40):
        low, high = intervals(drawn(everything, rng.choice(20_000, 150, replace=False)))["accuracy"]
        hits += low <= truth <= high
    assert 35 <= hits <= 40


def test_draws_without_a_class_do_not_affect_the_interval_of_the_area() -> None:
    answers = Answers(
        np.array([0, 1, 1, 1]),
        np.array([0, 1, 1, 0]),
        np.array([[0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.6, 0.4]]),
    )
    low, high = intervals(answers)["roc_auc"]
    assert 0 <= low <= high <= 1
