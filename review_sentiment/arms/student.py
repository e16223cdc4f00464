"""A student: a small model that learns from a teacher's probabilities, and from the labels that there are."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import fit_arm, save_arm
from review_sentiment.arms.onnx_export import OnnxExport, export_onnx
from review_sentiment.config import TrainedArm
from review_sentiment.models.base_model import ModelIdentity

if TYPE_CHECKING:
    from review_sentiment.arms.teacher import TeacherAnswers
    from review_sentiment.config import StudentSettings

EXPORT_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
EXPORT_REVIEWS = 600
"""Validation reviews on which an export is proved and int8 is judged."""

logger = logging.getLogger(__name__)


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
    export: OnnxExport | None


@dataclass(frozen=True)
class FittedStudent:
    """How long a training took, in seconds, and how the encoder was exported, if it was."""

    seconds: float
    export: OnnxExport | None


def fit_student(training: StudentTraining, settings: StudentSettings, directory: Path) -> FittedStudent:
    """Train a student, export its encoder if it is to answer with ONNX Runtime, and write it to a directory.

    Raises:
        ModelUnavailableError: the encoder, or ONNX Runtime, is not available.
        TrainingError: the training did not converge, or the export answers otherwise.
    """
    from review_sentiment.arms.encoder_classifier import EncoderClassifier

    start = time.perf_counter()
    train = joined(training.train, training.answers.documents())
    arm = fit_arm(settings.kind, train, training.validation, training.seed, training.encoder, settings.epochs)
    seconds = time.perf_counter() - start
    export = None
    # Of static vectors, there is nothing to speed up but the tokenizer.
    if isinstance(arm, EncoderClassifier) and _uses_onnx(settings.runtime):
        arm, export = export_onnx(arm, training.validation.head(EXPORT_REVIEWS))
    save_arm(settings.kind, arm, directory)
    return FittedStudent(seconds, export)


def _uses_onnx(runtime: Literal["auto", "onnx", "torch"]) -> bool:
    if runtime != "auto":
        return runtime == "onnx"
    found = all(find_spec(package) for package in EXPORT_PACKAGES)
    logger.info(
        "runtime: %s (student.runtime=auto, %s)",
        "ONNX Runtime" if found else "PyTorch",
        "which is installed" if found else "the extra onnx is not installed",
    )
    return found


def joined(first: LabelledDocuments, second: LabelledDocuments) -> LabelledDocuments:
    """Return the documents of both, which have the same labels."""
    targets = np.concatenate([first.targets, second.targets])
    return LabelledDocuments([*first.documents, *second.documents], targets, first.labels)
