"""A version and its student answer together: who answers what, and with which scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from review_sentiment.arms.combination import Combination
from review_sentiment.decision.calibration import Calibration
from review_sentiment.decision.cascade import NEVER
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.scoring.bulk_scoring import ScoringJob
from review_sentiment.scoring.scorer import Scorer

LABELS = ("negative", "positive")


@dataclass
class Stub:
    """A model that is as sure of "positive" as a text has letters "p"; it notes the texts that it gets."""

    slope: float
    max_characters: int = 100
    labels: tuple[str, ...] = LABELS
    seen: list[str] = field(default_factory=list)

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        self.seen += texts
        odds = self.slope * np.array([text.count("p") - 2.0 for text in texts])
        return np.stack([-np.logaddexp(0, odds), -np.logaddexp(0, -odds)], axis=1)


def rule(slope: float, offset: float = 0.0) -> DecisionRule:
    calibration = replace(Calibration.none(2), slopes=(slope, slope), offsets=(0.0, offset))
    return DecisionRule(LABELS, (0.4, 0.6), calibration, "accuracy")


TEACHER_RULE, STUDENT_RULE = rule(0.5, 0.3), rule(2.0)
TEXTS = ["a", "ap", "app", "appp", "apppp", "b"]


def both(**limits: int) -> tuple[Scorer, Scorer]:
    teacher = Stub(3.0, limits.get("teacher", 100))
    return Scorer(teacher, TEACHER_RULE), Scorer(Stub(1.0, limits.get("student", 100)), STUDENT_RULE)


def combination(threshold: float | None, rule: DecisionRule = TEACHER_RULE) -> Combination:
    return Combination(
        student_name="small", student_version="2", student_run="run", threshold=threshold, rule=rule
    )


def titles(texts: Sequence[str]) -> list[str]:
    return [""] * len(texts)


def test_a_student_answers_what_it_is_sure_of_and_the_teacher_only_the_rest() -> None:
    teacher, student = both()
    own = STUDENT_RULE.probabilities(student.log_probs(titles(TEXTS), TEXTS))
    expected = own.max(-1) >= 0.95
    alone = teacher.log_probs(titles(TEXTS), TEXTS)
    teacher.model.seen.clear()  # type: ignore[attr-defined]

    scorer = combination(0.95).scorer(teacher, student)
    found = scorer.scores(titles(TEXTS), TEXTS)
    assert found.by_student.tolist() == expected.tolist() == [True, False, False, False, True, True]
    assert teacher.model.seen == ["ap", "app", "appp"]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found.log_probs[~expected], alone[~expected])

    answers = scorer.answer(titles(TEXTS), TEXTS)
    calibrated = np.where(expected[:, None], own, TEACHER_RULE.probabilities(alone))
    np.testing.assert_allclose(answers[["p_negative", "p_positive"]], calibrated, atol=1e-12)
    np.testing.assert_array_equal(scorer.log_probs(titles(TEXTS), TEXTS), found.log_probs)


def test_other_class_shares_change_the_answers_of_a_student_but_not_who_answers() -> None:
    scorer = combination(0.95).scorer(*both())
    found = scorer.scores(titles(TEXTS), TEXTS)
    rare = TEACHER_RULE.for_prior((0.01, 0.99))
    expected = STUDENT_RULE.for_prior((0.01, 0.99)).probabilities(both()[1].log_probs(titles(TEXTS), TEXTS))
    np.testing.assert_allclose(
        rare.probabilities(found.log_probs)[found.by_student], expected[found.by_student], atol=1e-12
    )


def test_each_model_cuts_texts_as_it_would_alone() -> None:
    texts = ["<b>a</b>p papa papapa", "pp<br />pppppppp"]
    together, alone = both(teacher=9, student=5), both(teacher=9, student=5)
    combination(1.0).scorer(*together).scores(titles(texts), texts)
    for scorer in alone:
        scorer.log_probs(titles(texts), texts)
    seen, expected = ([scorer.model.seen for scorer in pair] for pair in (together, alone))  # type: ignore[attr-defined]
    assert seen == expected
    assert expected[0] != expected[1]


def test_a_student_that_may_never_answer_is_not_asked() -> None:
    teacher, student = both()
    found = combination(NEVER).scorer(teacher, student).scores(titles(TEXTS), TEXTS)
    assert not found.by_student.any()
    assert student.model.seen == []  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found.log_probs, both()[0].log_probs(titles(TEXTS), TEXTS))


def test_a_teacher_that_has_nothing_left_is_not_asked() -> None:
    teacher, student = both()
    assert combination(0.0).scorer(teacher, student).scores(titles(TEXTS), TEXTS).by_student.all()
    assert teacher.model.seen == []  # type: ignore[attr-defined]


def test_an_ensemble_has_the_geometric_mean_of_both_at_equal_class_shares() -> None:
    own = rule(1.0)
    scorer = combination(None, own).scorer(*both())
    found = scorer.scores(titles(TEXTS), TEXTS)
    assert not found.by_student.any()
    equal = (0.5, 0.5)
    first, second = (one.rule.probabilities(one.log_probs(titles(TEXTS), TEXTS), equal) for one in both())
    np.testing.assert_allclose(found.log_probs, np.log(np.sqrt(first * second)), atol=1e-12)
    answers = scorer.answer(titles(TEXTS), TEXTS)
    np.testing.assert_allclose(answers["p_positive"], own.probabilities(found.log_probs)[:, 1])


@pytest.mark.parametrize(
    ("threshold", "version", "student"), [(0.9, "7", "small/2"), (None, "7 and small/2", "")]
)
def test_outputs_name_who_answered(threshold: float | None, version: str, student: str) -> None:
    own = rule(1.0)
    job = combination(threshold, own).applied_to(ScoringJob(Path("a"), Path("b"), "7", TEACHER_RULE))
    assert (job.version, job.student, job.rule) == (version, student, own)


def test_scores_depend_on_the_student_its_run_and_the_threshold() -> None:
    plain = combination(0.9)
    changed = {"student_name": "other", "student_version": "3", "student_run": "r2", "threshold": 0.91}
    others = [plain.model_copy(update={key: value}) for key, value in changed.items()]
    assert len({found.identity for found in (plain, *others)}) == 1 + len(changed)


@pytest.mark.parametrize("threshold", [None, 0.1 + 0.2, NEVER])
def test_a_combination_survives_json_exactly(threshold: float | None) -> None:
    """ZenML passes it to the steps as JSON."""
    found = combination(threshold, rule(1 / 3, -0.1))
    assert Combination.model_validate_json(found.model_dump_json()) == found
