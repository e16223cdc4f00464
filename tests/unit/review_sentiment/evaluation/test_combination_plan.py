"""What a teacher and its student reach together on the validation reviews, and what does not fit together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from review_sentiment.config import DecisionSettings
from review_sentiment.decision.calibration import Calibration
from review_sentiment.decision.cascade import NEVER
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.decision.share_estimate import estimate_shares
from review_sentiment.errors import UsageError
from review_sentiment.evaluation.combination_plan import Validated, plan_cascade, plan_ensemble
from review_sentiment.evaluation.predictions import answers_of, prediction_table
from review_sentiment.evaluation.result import fitted_rule

LABELS = ("negative", "positive")
SHARES = (0.2, 0.8)
GOLD = np.repeat([0, 1], (120, 240))
REVIEWS = pd.DataFrame(
    {
        "review_id": [f"r{number}" for number in range(len(GOLD))],
        "category": "Tops",
        "label": np.array(LABELS)[GOLD],
        "weight": np.tile([0.5, 1.5], len(GOLD) // 2),
    }
)
TRUTH = np.where(GOLD, 1.0, -1.0)


def validated(title: str, separation: float, seed: int, **wanted: object) -> Validated:
    """Return a model whose log odds are those of the gold label times `separation`, with noise."""
    odds = separation * TRUTH + np.random.default_rng(seed).normal(0, 1.5, len(GOLD))
    p = 1 / (1 + np.exp(np.stack([odds, -odds], axis=1)))
    predictions = prediction_table(REVIEWS, LABELS, p, p.argmax(1), np.ones(len(p)))
    decision = DecisionSettings.model_validate(wanted)
    return Validated(title, fitted_rule(predictions, LABELS, SHARES, decision), predictions)


TEACHER, STUDENT = validated("reviews/3", 3.0, seed=1), validated("student/2", 2.0, seed=2)


@pytest.mark.parametrize("max_loss", [0.0, 0.003, 0.02])
def test_a_cascade_loses_no_more_than_allowed(max_loss: float) -> None:
    found = plan_cascade(TEACHER, STUDENT, max_loss).expected
    assert found.teacher_accuracy - found.accuracy <= max_loss + 1e-9
    assert found.gain.gain == pytest.approx(found.accuracy - found.teacher_accuracy)
    assert found.gain.interval[0] <= found.gain.gain <= found.gain.interval[1]


def test_a_larger_loss_gives_the_student_more_reviews() -> None:
    plans = [plan_cascade(TEACHER, STUDENT, max_loss) for max_loss in (0.0, 0.01, 0.02, 1.0)]
    answered = [plan.expected.by_student for plan in plans]
    assert answered == sorted(answered)
    assert 0 < answered[0] < answered[2] < answered[3] == len(GOLD)
    thresholds = [plan.threshold for plan in plans]
    assert thresholds == sorted(thresholds, reverse=True)  # type: ignore[type-var]


def test_reviews_count_by_weight_and_class_share() -> None:
    found = plan_cascade(TEACHER, STUDENT, 1.0).expected
    assert (found.reviews, found.student_share) == (len(GOLD), pytest.approx(1.0))
    right = TEACHER.decided["decided"] == REVIEWS["label"]
    of_labels = [
        np.average(right[label == GOLD], weights=REVIEWS["weight"][label == GOLD]) for label in (0, 1)
    ]
    assert found.teacher_accuracy == pytest.approx(np.dot(SHARES, of_labels))
    some = plan_cascade(TEACHER, STUDENT, 0.01).expected
    assert some.student_share != pytest.approx(some.by_student / some.reviews, abs=1e-3)


@pytest.mark.parametrize(("max_loss", "answered"), [(0.25, len(GOLD)), (0.15, 0)])
def test_a_third_of_the_validation_reviews_is_a_fifth_of_all_reviews(max_loss: float, answered: int) -> None:
    """The student answers "positive" to everything: negative reviews are a third of the validation set."""
    p = np.tile([0.01, 0.99], (len(GOLD), 1))
    predictions = prediction_table(REVIEWS, LABELS, p, p.argmax(1), np.ones(len(p)))
    student = Validated("student/2", DecisionRule.raw(LABELS, SHARES), predictions)
    assert plan_cascade(TEACHER, student, max_loss).expected.by_student == answered


def test_the_teachers_rule_decides_but_the_shares_of_a_file_are_estimated_from_both() -> None:
    found = plan_cascade(TEACHER, STUDENT, 0.01)
    ours, theirs = found.rule, TEACHER.rule
    same = {"platt": theirs.calibration.platt, "covariance": theirs.calibration.covariance}
    assert replace(ours, calibration=replace(ours.calibration, **same), expected=theirs.expected) == theirs  # type: ignore[arg-type]
    assert ours.calibration.platt != theirs.calibration.platt
    log_probs = answers_of(TEACHER.predictions, LABELS).log_probs
    assert estimate_shares(log_probs, ours) != estimate_shares(log_probs, theirs)


def test_a_student_that_knows_nothing_answers_nothing() -> None:
    wrong = validated("student/2", -6.0, seed=3)
    plan = plan_cascade(TEACHER, wrong, 0.0)
    assert (plan.threshold, plan.rule) == (NEVER, TEACHER.rule)
    found = plan.expected
    assert (found.by_student, found.student_share) == (0, 0)
    assert found.accuracy == found.teacher_accuracy


def test_the_order_of_the_students_reviews_does_not_matter() -> None:
    shuffled = replace(STUDENT, predictions=STUDENT.predictions.sample(frac=1, random_state=0))
    assert plan_cascade(TEACHER, shuffled, 0.01) == plan_cascade(TEACHER, STUDENT, 0.01)


def other_labels() -> Validated:
    return replace(STUDENT, rule=replace(STUDENT.rule, labels=("bad", "good")))


def other_reviews() -> Validated:
    renamed = STUDENT.predictions["review_id"].replace("r7", "another")
    return replace(STUDENT, predictions=STUDENT.predictions.assign(review_id=renamed))


def fewer_reviews() -> Validated:
    return replace(STUDENT, predictions=STUDENT.predictions.iloc[1:])


def other_gold() -> Validated:
    return replace(
        STUDENT, predictions=STUDENT.predictions.assign(gold=STUDENT.predictions["gold"][::-1].to_list())
    )


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (other_labels(), "student/2 has the labels bad, good, and reviews/3 has negative, positive"),
        (other_reviews(), "student/2 was calibrated on other validation reviews"),
        (fewer_reviews(), r"other validation reviews \(359\) than reviews/3 \(360\)"),
        (other_gold(), "other validation reviews"),
    ],
)
def test_a_student_that_does_not_fit_is_refused(student: Validated, message: str) -> None:
    for plan in (lambda: plan_cascade(TEACHER, student, 0.01), lambda: plan_ensemble(TEACHER, student)):
        with pytest.raises(UsageError, match=message):
            plan()


def test_a_teacher_whose_calibration_cannot_be_inverted_is_refused() -> None:
    flat = replace(Calibration.none(2), slopes=(0.05, 0.05))
    teacher = replace(TEACHER, rule=replace(TEACHER.rule, calibration=flat))
    with pytest.raises(UsageError, match="The calibration of reviews/3"):
        plan_cascade(teacher, STUDENT, 0.01)


def test_an_ensemble_that_is_better_than_both_has_a_rule_of_its_own() -> None:
    equal = validated("student/2", 3.0, seed=4)
    plan = plan_ensemble(TEACHER, equal)
    found = plan.expected
    assert found.accuracy > max(found.teacher_accuracy, found.student_accuracy)
    assert (plan.threshold, plan.rule.objective, plan.rule.prior) == (None, "accuracy", TEACHER.rule.prior)
    assert plan.rule != TEACHER.rule
    assert found.by_student == 0


def test_an_ensemble_that_is_not_better_is_refused_with_the_figures() -> None:
    with pytest.raises(
        UsageError, match=r"has an accuracy of 0\.\d{4}, reviews/3 alone 0\.\d{4} and student/2"
    ):
        plan_ensemble(TEACHER, validated("student/2", 0.1, seed=3))


@pytest.mark.parametrize(
    "wanted",
    [{"objective": "macro_f1"}, {"cost": {"false_negative": 5}}, {"abstain": {"risk": 0.1}}],
    ids=str,
)
def test_an_ensemble_would_lose_another_objective_which_a_cascade_keeps(wanted: dict[str, object]) -> None:
    teacher = validated("reviews/3", 3.0, 1, **wanted)
    with pytest.raises(UsageError, match="Use --cascade, which keeps that rule"):
        plan_ensemble(teacher, STUDENT)
    kept = plan_cascade(teacher, STUDENT, 0.01).rule
    assert (kept.objective, kept.threshold, kept.band) == (
        teacher.rule.objective,
        teacher.rule.threshold,
        teacher.rule.band,
    )
