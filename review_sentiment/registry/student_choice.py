"""Which student answers with a registered version, and what the two reach together."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from review_sentiment.arms.combination import Combination
from review_sentiment.decision.cascade import NEVER
from review_sentiment.errors import UsageError
from review_sentiment.evaluation.combination_plan import Validated, plan_cascade, plan_ensemble
from review_sentiment.tracking import downloads, evidence, model_versions
from review_sentiment.tracking.mlflow_store import TEACHER_TAG
from review_sentiment.tracking.model_versions import CHAMPION

if TYPE_CHECKING:
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.combination_plan import ExpectedAccuracy
    from review_sentiment.tracking.model_versions import ModelVersion

Together = Literal["cascade", "ensemble"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudentChoice:
    """How a student answers with its teacher, and which one.

    `name` is the registered model of the students, `version` the number or the alias of one, or None for the
    champion among the teacher's students, or the newest. `max_loss` is the accuracy that a cascade may lose.
    """

    together: Together
    name: str
    version: str | None
    max_loss: float


@dataclass(frozen=True)
class Combined:
    """How a student answers with its teacher, and what to expect of it."""

    teacher: str
    combination: Combination
    expected: ExpectedAccuracy
    guarantee: str
    """What the teacher's rule guarantees for the teacher alone, or an empty text."""

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`; the rule is in the files of the versions."""
        return self.combination.model_dump(exclude={"rule"}) | {"expected": asdict(self.expected)}

    def in_words(self) -> str:
        """Return who answers what, and the accuracy on the validation reviews."""
        expected, student = self.expected, self.combination.student
        low, high = expected.gain.interval
        guarantee = (
            f" The rule was proved for {self.teacher} alone ({self.guarantee}), not for both."
            if self.guarantee
            else ""
        )
        return (
            f"{self._who()}. On {expected.reviews:,} validation reviews, at the natural shares: accuracy "
            f"{expected.accuracy:.4f}, with {self.teacher} alone {expected.teacher_accuracy:.4f} (difference "
            f"{expected.gain.gain:+.4f} [{low:+.4f}, {high:+.4f}]), with {student} alone "
            f"{expected.student_accuracy:.4f}.{guarantee}"
        )

    def _who(self) -> str:
        threshold, student = self.combination.threshold, self.combination.student
        if threshold is None:
            return f"{self.teacher} and {student} answer each review together"
        if threshold == NEVER:
            return f"{student} answers no review: any would lose too much accuracy. Raise --max-loss"
        return (
            f"{student} answers with a confidence of {threshold:.4f} or more, which "
            f"{self.expected.student_share:.1%} of the reviews have, and {self.teacher} answers the others"
        )


def combine(teacher: ModelVersion, rule: DecisionRule, choice: StudentChoice) -> Combined:
    """Choose the student of a version with this rule, how they answer together, and what to expect of it.

    Raises:
        UsageError: there is no such student, or the two cannot answer together.
        ModelUnavailableError: a version's files cannot be downloaded.
        TrackingError: the answers to the validation reviews are no longer in the artifact store.
    """
    student = student_of(teacher, choice)
    both = _validated(teacher, rule), _validated(student, downloads.require_usable(student))
    plan = plan_cascade(*both, choice.max_loss) if choice.together == "cascade" else plan_ensemble(*both)
    combination = Combination(
        student_name=student.name,
        student_version=student.version,
        student_run=student.run_id,
        threshold=plan.threshold,
        rule=plan.rule,
    )
    guarantee = rule.described if rule.guarantees else ""
    found = Combined(teacher.title, combination, plan.expected, guarantee)
    logger.info("%s", found.in_words())
    return found


def student_of(teacher: ModelVersion, choice: StudentChoice) -> ModelVersion:
    """Return the chosen student.

    Raises:
        UsageError: the teacher has no student, or the chosen version is not one of them.
    """
    whose, students = teacher.title, students_of(teacher, choice.name)
    if choice.version is not None:
        found = model_versions.get_version(choice.name, choice.version)
        if found not in students:
            of = found.tags.get(TEACHER_TAG)
            what = f"a student of {of}, not of {whose}" if of else "not a student"
            raise UsageError(f"{found.title} is {what}. {_other_students(teacher, students)}")
        return found
    if not students:
        raise UsageError(f"'{choice.name}' has no student of {whose}. {_other_students(teacher, students)}")
    return next((found for found in students if CHAMPION in found.aliases), students[0])


def students_of(teacher: ModelVersion, name: str) -> list[ModelVersion]:
    """Return the versions of the registered model `name` that are students of the teacher, newest first."""
    whose = teacher.title
    return [found for found in model_versions.list_versions(name) if found.tags.get(TEACHER_TAG) == whose]


def _other_students(teacher: ModelVersion, students: list[ModelVersion]) -> str:
    """Return what to do to get a student of the teacher."""
    if not students:
        return f"Train one: python run_pipeline.py distill {teacher.version}"
    return f"--student takes one of: {', '.join(found.version for found in students)}."


def _validated(version: ModelVersion, rule: DecisionRule) -> Validated:
    return Validated(version.title, rule, evidence.decision_of(version))
