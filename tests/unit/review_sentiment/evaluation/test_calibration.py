"""Temperature and threshold are fitted on validation answers and calibrate other ones."""

from __future__ import annotations

import numpy as np
import pytest

from review_sentiment.evaluation.calibration import calibrated, fit_calibration
from review_sentiment.evaluation.intervals import figures
from review_sentiment.scoring.answers import Answers


def honest(n: int, seed: int, classes: int = 2) -> Answers:
    """Return answers whose probabilities are exactly how often each class is the right one."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.7), n)
    gold = (p.cumsum(-1) < rng.random(n)[:, None]).sum(-1)
    return Answers(gold, p.argmax(-1), p)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("distortion", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(classes: int, distortion: float) -> None:
    answers = honest(4_000, 1, classes)
    distorted = Answers(answers.gold, answers.answered, calibrated(answers.probabilities, 1 / distortion))
    assert fit_calibration(distorted).temperature == pytest.approx(distortion, rel=0.1)


def test_an_overconfident_model_is_calibrated_on_other_reviews() -> None:
    validation, evaluation = honest(400, 2), honest(4_000, 3)

    def overconfident(answers: Answers) -> Answers:
        return Answers(answers.gold, answers.answered, calibrated(answers.probabilities, 0.3))

    fitted = fit_calibration(overconfident(validation))
    before, after = overconfident(evaluation), fitted.apply(overconfident(evaluation))
    assert figures(after)["calibration_error"] < figures(before)["calibration_error"] / 2
    assert figures(after)["brier"] < figures(before)["brier"]
    assert np.array_equal(after.gold, evaluation.gold)


def test_the_threshold_of_a_slanted_model_moves() -> None:
    answers = honest(4_000, 4)
    odds = answers.probabilities * np.array([4.0, 1.0])
    slanted = Answers(answers.gold, answers.answered, odds / odds.sum(-1, keepdims=True))
    fitted = fit_calibration(slanted)
    assert fitted.threshold is not None
    assert fitted.threshold < 0.4
    assert figures(fitted.apply(slanted))["f1"] > figures(slanted)["f1"]


def test_more_than_two_classes_have_no_threshold() -> None:
    fitted = fit_calibration(honest(200, 5, classes=3))
    assert fitted.threshold is None
    assert fitted.n == 200
    assert np.array_equal(fitted.apply(honest(50, 6, classes=3)).answered, honest(50, 6, classes=3).answered)


def test_impossible_labels_do_not_break_the_fit() -> None:
    sure = Answers(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    assert np.isfinite(fit_calibration(sure).temperature)
