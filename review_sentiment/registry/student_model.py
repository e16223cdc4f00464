"""A student, as it is registered: a model of its own, beside the teacher's."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.registry.model_card import collapse
from review_sentiment.registry.student_card import StudentFacts, write_student_card
from review_sentiment.tracking.mlflow_store import TEACHER_TAG

if TYPE_CHECKING:
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.registry.gate import Evaluations, Verdict
    from review_sentiment.registry.model_card import CardIdentity


class StudentModel(StudentFacts):
    """What its card reports, and what registration needs."""

    @property
    def run_id(self) -> str:
        """Return the MLflow run of the training."""
        return self.student.run_id

    def training_settings(self) -> Mapping[str, str]:
        """Return the settings that the student was trained with."""
        return self.student.settings

    def description(self) -> Mapping[str, str]:
        """Return nothing: there is nothing beside the settings."""
        return {}

    def tags(self) -> dict[str, str]:
        """Return the teacher, the kind of the student, and the encoder that it started from."""
        student = self.student
        tags = {TEACHER_TAG: student.teacher, "student": student.kind}
        if student.encoder is None:
            return tags
        revision = student.encoder.revision or "newest"
        return tags | {"base_model": student.encoder.title, "base_revision": revision}

    def concerns(self, found: Evaluation) -> list[str]:
        """Return a warning if a class collapsed."""
        return collapse(found)

    def write_files(self, directory: Path) -> None:
        """Write the student."""
        shutil.copytree(self.student.directory, directory, dirs_exist_ok=True)

    def card(self, identity: CardIdentity, verdict: Verdict, evaluations: Evaluations) -> str:
        """Return the card as Markdown."""
        return write_student_card(identity, verdict, evaluations, self)
