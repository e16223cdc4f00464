"""When a student answers in its teacher's place, and what the teacher's rule makes of its scores."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from review_sentiment.decision.calibration import Calibration, fit_method
from review_sentiment.decision.cascade import NEVER, as_of_teacher, confidence_of, lowest_threshold
from review_sentiment.decision.inverse_calibration import LEAST_SPAN, require_invertible, span_of
from review_sentiment.decision.rule import DecisionRule, Threshold
from review_sentiment.errors import UsageError
from tests.unit.review_sentiment.decision.test_fit import PRIORS, THREE, drawn

CONFIDENCE = st.sampled_from((0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0))
REVIEWS = st.lists(st.tuples(CONFIDENCE, st.integers(-1, 1), st.floats(0.1, 3)), min_size=1, max_size=30)
LOSS = st.floats(0, 1)


def lost_at(threshold: float, confidence: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> float:
    return float(losses[confidence >= threshold].sum())


def arrays(
    reviews: list[tuple[float, int, float]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return confidence [n] and losses [n]; a review counts by its weight."""
    confidence, lost, weights = (np.array(column) for column in zip(*reviews, strict=True))
    return confidence, lost * weights / weights.sum()


@given(REVIEWS, LOSS)
def test_no_more_is_lost_than_allowed_and_no_lower_threshold_would_do(
    reviews: list[tuple[float, int, float]], max_loss: float
) -> None:
    confidence, losses = arrays(reviews)
    threshold = lowest_threshold(confidence, losses, max_loss)
    assert lost_at(threshold, confidence, losses) <= max_loss + 1e-9
    assert threshold in {*confidence, NEVER}
    lower = {one for one in confidence if one < threshold}
    assert all(lost_at(one, confidence, losses) > max_loss for one in lower)


@given(REVIEWS, LOSS, LOSS)
def test_a_larger_loss_never_raises_the_threshold(
    reviews: list[tuple[float, int, float]], one: float, other: float
) -> None:
    confidence, losses = arrays(reviews)
    strict, lenient = (lowest_threshold(confidence, losses, loss) for loss in sorted((one, other)))
    assert lenient <= strict


@given(REVIEWS, LOSS, st.randoms())
def test_the_order_of_the_reviews_does_not_matter(
    reviews: list[tuple[float, int, float]], max_loss: float, random: Random
) -> None:
    # Whole numbers: sums in another order would differ by rounding.
    reviews = [(confidence, lost, 1.0) for confidence, lost, _ in reviews]
    shuffled = random.sample(reviews, len(reviews))
    assert lowest_threshold(*arrays(reviews), max_loss) == lowest_threshold(*arrays(shuffled), max_loss)


@pytest.mark.parametrize(
    ("confidence", "losses", "max_loss", "expected"),
    [
        ([], [], 0.5, NEVER),
        ([0.8], [1.0], 0.5, NEVER),
        ([0.8], [1.0], 1.0, 0.8),
        ([0.8], [0.0], 0.0, 0.8),
        ([0.8], [-1.0], 0.0, 0.8),
        ([0.9, 0.9, 0.7], [0.3, -0.3, 0.4], 0.0, 0.9),  # a tie is answered as a whole
        ([0.9, 0.9, 0.9], [0.3, 0.0, 0.0], 0.2, NEVER),
        ([0.9, 0.8, 0.7], [0.1, -0.1, 0.0], 0.0, 0.7),  # what is lost can be won again
        ([0.9, 0.8, 0.7], [0.1, 0.1, 0.1], 0.2, 0.8),
    ],
)
def test_small_sets_and_ties(
    confidence: list[float], losses: list[float], max_loss: float, expected: float
) -> None:
    assert lowest_threshold(np.array(confidence), np.array(losses), max_loss) == expected


SLOPE, OFFSET = st.floats(0.5, 3), st.floats(-3, 3)


@st.composite
def rules(draw: st.DrawFn, classes: int) -> DecisionRule:
    """Return a rule with a slope and an offset per label."""
    slopes, offsets = (tuple(draw(one) for _ in range(classes)) for one in (SLOPE, OFFSET))
    shares = np.array([draw(st.floats(0.05, 1)) for _ in range(classes)])
    calibration = replace(Calibration.none(classes), slopes=slopes, offsets=offsets)
    labels = tuple("abc"[:classes])
    return DecisionRule(labels, tuple((shares / shares.sum()).tolist()), calibration, "accuracy")


@given(st.data(), st.sampled_from((2, 3)))
def test_the_teachers_rule_gives_the_students_calibrated_probabilities(
    data: st.DataObject, classes: int
) -> None:
    student, teacher = data.draw(rules(classes)), data.draw(rules(classes))
    score = st.floats(-30, 0)
    log_probs = np.array([[data.draw(score) for _ in range(classes)] for _ in range(5)])
    calibrated = student.calibration.scores(log_probs)
    assume(np.ptp(calibrated, axis=-1).max() < span_of(teacher.calibration))
    on_scale = as_of_teacher(student, log_probs, teacher)
    for prior in (teacher.prior, student.prior):
        expected = student.probabilities(log_probs, prior)
        np.testing.assert_allclose(teacher.probabilities(on_scale, prior), expected, atol=1e-9)


@pytest.mark.parametrize("method", ["temperature", "platt"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_fitted_calibration_is_inverted(method: str, classes: int) -> None:
    scores = drawn((100, 150, 80)[:classes], distance=3)
    calibration = fit_method(scores, method, {})  # type: ignore[arg-type]
    require_invertible(calibration, "version 3")
    teacher = DecisionRule(THREE[:classes], PRIORS[classes], calibration, "accuracy")
    student = DecisionRule.raw(THREE[:classes], PRIORS[classes])
    found = teacher.probabilities(as_of_teacher(student, scores.log_probs, teacher))
    np.testing.assert_allclose(found, student.probabilities(scores.log_probs), atol=1e-9)


def test_a_score_that_the_teachers_scale_cannot_express_becomes_the_most_extreme_one() -> None:
    calibration = replace(Calibration.none(3), slopes=(0.2, 0.3, 0.25), offsets=(0.5, 0.0, -0.5))
    teacher = DecisionRule(THREE, PRIORS[3], calibration, "accuracy")
    student = DecisionRule.raw(THREE, PRIORS[3])
    log_probs = np.array([[0.0, -0.4, -70.0]])
    found = teacher.probabilities(as_of_teacher(student, log_probs, teacher))
    np.testing.assert_allclose(found, student.probabilities(log_probs), atol=np.exp(-LEAST_SPAN))


@pytest.mark.parametrize("slopes", [(0.05, 1.0), (-0.4, 1.0), (0.0, 0.5)])
def test_a_calibration_that_cannot_be_inverted_is_refused(slopes: tuple[float, float]) -> None:
    calibration = replace(Calibration.none(2), slopes=slopes)
    with pytest.raises(UsageError, match="The calibration of version 3 cannot express"):
        require_invertible(calibration, "version 3")


def test_a_student_is_as_sure_as_its_own_rule_says() -> None:
    student = replace(DecisionRule.raw(("no", "yes"), (0.5, 0.5)), threshold=Threshold(0, 0.2))
    p = np.array([[0.1, 0.9], [0.3, 0.7], [0.9, 0.1]])
    assert confidence_of(student, np.log(p)) == pytest.approx([0.9, 0.3, 0.9])


NATURAL = np.array([0.12, 0.88])
REPETITIONS = 100


def simulated(
    counts: tuple[int, int], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a calibrated student's confidence [n] and the losses [n] on reviews drawn label by label.

    The log odds of a calibrated model have a variance of twice their mean. Teacher and student, with an
    accuracy of 0.979 and 0.966, often find the same reviews hard.
    """
    gold = np.repeat([0, 1], counts)
    shared, separations = rng.normal(size=len(gold)), (3.6, 3.1)
    odds = [
        (2 * gold - 1) * d**2 / 2
        + d * (0.8 * shared + 0.6 * rng.normal(size=len(gold)))
        + np.log(NATURAL[1] / NATURAL[0])
        for d in separations
    ]
    teacher_right, student_right = ((one > 0) == (gold == 1) for one in odds)
    shares = (NATURAL / counts)[gold]
    return 1 / (1 + np.exp(-np.abs(odds[1]))), shares * (teacher_right * 1.0 - student_right)


@pytest.mark.parametrize(("max_loss", "mean", "nine_in_ten"), [(0.0, 0.001, 0.005), (0.005, 0.006, 0.011)])
def test_on_other_reviews_a_little_more_is_lost_than_on_those_that_chose_the_threshold(
    max_loss: float, mean: float, nine_in_ten: float
) -> None:
    rng = np.random.default_rng(0)
    confidence, losses = simulated((24_000, 176_000), rng)
    found = [
        lost_at(lowest_threshold(*simulated((320, 880), rng), max_loss), confidence, losses)
        for _ in range(REPETITIONS)
    ]
    assert np.mean(found) == pytest.approx(mean, abs=0.001)
    assert np.quantile(found, 0.9) == pytest.approx(nine_in_ten, abs=0.0015)
