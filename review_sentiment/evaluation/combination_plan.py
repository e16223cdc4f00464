"""What a teacher and its student reach together, on the validation reviews that both were calibrated on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.config import DecisionSettings
from review_sentiment.decision.calibration import fit_method
from review_sentiment.decision.cascade import NEVER, as_of_teacher, confidence_of, lowest_threshold
from review_sentiment.decision.ensemble import mean_log_probs
from review_sentiment.decision.inverse_calibration import require_invertible
from review_sentiment.decision.labelled_scores import LabelledScores
from review_sentiment.errors import UsageError
from review_sentiment.evaluation.comparison import PairedDifference, compare_models
from review_sentiment.evaluation.predictions import answers_of, production_shares
from review_sentiment.evaluation.result import decided, fitted_rule
from review_sentiment.scoring.answers import labels_of, probability_columns

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule

ACCURACY = "accuracy"


@dataclass(frozen=True)
class Validated:
    """A version, its decision rule, and its predictions on the validation reviews of this rule."""

    title: str
    rule: DecisionRule
    predictions: pd.DataFrame

    @property
    def log_probs(self) -> npt.NDArray[np.float64]:
        """Return the version's scores [n, c]."""
        return answers_of(self.predictions, self.rule.labels).log_probs

    @property
    def decided(self) -> pd.DataFrame:
        """Return the predictions with the answers of the rule."""
        return decided(self.predictions, self.rule)


@dataclass(frozen=True)
class ExpectedAccuracy:
    """What is expected of a teacher and its student together, from the validation reviews.

    `by_student` is how many of the `reviews` the student answers alone, `student_share` their share of all
    reviews at the class shares of the teacher. `accuracy` is that of both together, at the same class shares;
    `gain` compares it with the teacher's alone.
    """

    reviews: int
    by_student: int
    student_share: float
    accuracy: float
    teacher_accuracy: float
    student_accuracy: float
    gain: PairedDifference


@dataclass(frozen=True)
class CombinationPlan:
    """From which confidence on the student answers (None: both answer all), by which rule, and the result."""

    threshold: float | None
    rule: DecisionRule
    expected: ExpectedAccuracy


def plan_cascade(teacher: Validated, student: Validated, max_loss: float) -> CombinationPlan:
    """Choose the lowest confidence with which the student may answer: accuracy loses at most `max_loss`.

    The teacher's rule decides on all answers. Only its estimate of the class shares of a file depends on who
    gave the scores, so Platt's calibration is fitted again for that.

    Raises:
        UsageError: the two do not fit together, or the teacher's calibration cannot be inverted.
    """
    require_invertible(teacher.rule.calibration, teacher.title)
    student = _aligned(student, teacher)
    on_scale = as_of_teacher(student.rule, student.log_probs, teacher.rule)
    confidence = confidence_of(student.rule, student.log_probs)
    shares = _shares(teacher)
    lost = _right(teacher.log_probs, teacher) * 1.0 - _right(on_scale, teacher)
    threshold = lowest_threshold(confidence, shares * lost, max_loss)
    by_student = confidence >= threshold
    log_probs = np.where(by_student[:, None], on_scale, teacher.log_probs)
    rule = teacher.rule if threshold == NEVER else _for_shares_of_files(log_probs, teacher)
    answered = decided(_with(log_probs, teacher), rule)
    return CombinationPlan(threshold, rule, _expected(teacher, student, answered, by_student))


def plan_ensemble(teacher: Validated, student: Validated) -> CombinationPlan:
    """Fit a rule for the mean of both, for the highest accuracy.

    Raises:
        UsageError: the two do not fit together, the teacher's rule has another objective, or the accuracy of
            the mean does not exceed that of both.
    """
    if teacher.rule.described != ACCURACY:
        raise UsageError(
            f"--ensemble fits a rule of its own for the best accuracy, but the rule of {teacher.title} is "
            f"for {teacher.rule.described}. Use --cascade, which keeps that rule."
        )
    student = _aligned(student, teacher)
    both = (teacher, student)
    log_probs = mean_log_probs([one.rule for one in both], [one.log_probs for one in both])
    predictions = _with(log_probs, teacher)
    rule = fitted_rule(predictions, teacher.rule.labels, teacher.rule.prior, DecisionSettings())
    nobody = np.zeros(len(predictions), dtype=bool)
    found = _expected(teacher, student, decided(predictions, rule), nobody)
    if found.accuracy <= max(found.teacher_accuracy, found.student_accuracy):
        raise UsageError(
            f"--ensemble does not pay: on {found.reviews:,} validation reviews, at the natural shares, the "
            f"mean of both has an accuracy of {found.accuracy:.4f}, {teacher.title} alone "
            f"{found.teacher_accuracy:.4f} and {student.title} alone {found.student_accuracy:.4f}. Use the "
            "better of the two, or --cascade."
        )
    return CombinationPlan(None, rule, found)


def _aligned(student: Validated, teacher: Validated) -> Validated:
    """Return the student with its predictions in the order of the teacher's.

    Raises:
        UsageError: it has other labels, or other validation reviews.
    """
    if student.rule.labels != teacher.rule.labels:
        raise UsageError(
            f"{student.title} has the labels {', '.join(student.rule.labels)}, and {teacher.title} has "
            f"{', '.join(teacher.rule.labels)}: they cannot answer together."
        )
    keys = ["review_id", "gold"]
    ours, theirs = teacher.predictions[keys], student.predictions[keys]
    order = pd.Index(theirs["review_id"]).get_indexer_for(ours["review_id"])
    same = len(ours) == len(theirs) == len(order) and (order >= 0).all()
    if not same or not (theirs["gold"].to_numpy()[order] == ours["gold"].to_numpy()).all():
        raise UsageError(
            f"{student.title} was calibrated on other validation reviews ({len(theirs):,}) than "
            f"{teacher.title} ({len(ours):,}), so what they reach together is not known. Train another "
            "student: python run_pipeline.py distill VERSION"
        )
    return replace(student, predictions=student.predictions.iloc[order].reset_index(drop=True))


def _shares(teacher: Validated) -> npt.NDArray[np.float64]:
    """Return the share of all reviews [n] that each validation review stands for."""
    shares = production_shares(teacher.predictions, _prior(teacher))
    return np.asarray(shares / shares.sum())


def _prior(teacher: Validated) -> dict[str, float]:
    return dict(zip(teacher.rule.labels, teacher.rule.prior, strict=True))


def _right(log_probs: npt.NDArray[np.float64], teacher: Validated) -> npt.NDArray[np.bool_]:
    """Return whether the teacher's rule answers correctly [n] from scores [n, c]."""
    gold = answers_of(teacher.predictions, teacher.rule.labels).gold
    return np.asarray(teacher.rule.answers(teacher.rule.probabilities(log_probs)) == gold)


def _with(log_probs: npt.NDArray[np.float64], teacher: Validated) -> pd.DataFrame:
    """Return the teacher's table of predictions with other scores [n, c]."""
    powers = np.exp(log_probs - log_probs.max(-1, keepdims=True))
    columns = probability_columns(labels_of(teacher.predictions))
    return teacher.predictions.assign(
        **dict(zip(columns, (powers / powers.sum(-1, keepdims=True)).T, strict=True))
    )


def _for_shares_of_files(log_probs: npt.NDArray[np.float64], teacher: Validated) -> DecisionRule:
    """Return the teacher's rule, which estimates the class shares of a file from the scores of both."""
    gold = answers_of(teacher.predictions, teacher.rule.labels).gold
    scores = LabelledScores(log_probs, gold, teacher.predictions["weight"].to_numpy())
    platt = fit_method(scores, "platt", {})
    calibration = replace(teacher.rule.calibration, platt=platt.platt, covariance=platt.covariance)
    return replace(teacher.rule, calibration=calibration, expected=())


def _expected(
    teacher: Validated, student: Validated, together: pd.DataFrame, by_student: npt.NDArray[np.bool_]
) -> ExpectedAccuracy:
    shares = _shares(teacher)
    gold = teacher.predictions["gold"].to_numpy()
    accuracy, alone, of_student = (
        float(shares @ (table["decided"].to_numpy() == gold))
        for table in (together, teacher.decided, student.decided)
    )
    gain = compare_models(together, teacher.decided, teacher.title, "decided", _prior(teacher)).overall
    return ExpectedAccuracy(
        len(gold), int(by_student.sum()), float(shares @ by_student), accuracy, alone, of_student, gain
    )
