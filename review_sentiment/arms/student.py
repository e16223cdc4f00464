"""A student: a small model that learns from a teacher's probabilities, and from the labels that there are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import fit_arm, save_arm
from review_sentiment.config import TrainedArm
from review_sentiment.models.base_model import ModelIdentity

if TYPE_CHECKING:
    from review_sentiment.arms.teacher import TeacherAnswers
    from review_sentiment.config import StudentSettings


@dataclass(frozen=True)
class StudentTraining:
    """What a student learns from: reviews with labels, and the teacher's answers to others.

    The validation reviews choose regularisation and epoch. `encoder` is what the kind starts from, None for a
    kind without one.
    """

    train: LabelledDocuments
    validation: LabelledDocuments
    answers: TeacherAnswers
    encoder: ModelIdentity | None
    seed: int


@dataclass(frozen=True)
class TrainedStudent:
    """A student's files, and the MLflow run of its training.

    `labelled` and `answered` count the reviews with a label and those with the teacher's probabilities.
    """

    directory: Path
    kind: TrainedArm
    teacher: str
    run_id: str
    encoder: ModelIdentity | None
    labelled: int
    answered: int
    seconds: float
    settings: dict[str, str]


def fit_student(training: StudentTraining, settings: StudentSettings, directory: Path) -> float:
    """Train a student, and write it to an empty directory; return the seconds that the training took.

    Raises:
        ModelUnavailableError: the encoder is not available.
        TrainingError: the training did not converge.
    """
    start = time.perf_counter()
    train = joined(training.train, training.answers.documents())
    arm = fit_arm(settings.kind, train, training.validation, training.seed, training.encoder, settings.epochs)
    seconds = time.perf_counter() - start
    save_arm(settings.kind, arm, directory)
    return seconds


def joined(first: LabelledDocuments, second: LabelledDocuments) -> LabelledDocuments:
    """Return the documents of both, which have the same labels."""
    targets = np.concatenate([first.targets, second.targets])
    return LabelledDocuments([*first.documents, *second.documents], targets, first.labels)
