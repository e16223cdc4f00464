"""Train and evaluate the arms: the same reviews, metrics and tests as for the language model."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import fit_arm, load_arm, save_arm
from review_sentiment.evaluation.cost import Cost, latencies, megabytes_of
from review_sentiment.evaluation.examples import sample_rows, sample_table
from review_sentiment.evaluation.predictions import prediction_table
from review_sentiment.evaluation.result import Evaluation, evaluation_of

if TYPE_CHECKING:
    from review_sentiment.arms.arm import Arm
    from review_sentiment.config import TrainedArm
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.models.base_model import ModelIdentity

SAMPLES_SHOWN = 16


@dataclass(frozen=True)
class ArmTraining:
    """An arm and what it is trained on; the validation reviews choose what the kind leaves open."""

    name: TrainedArm
    train: ChatDataset
    validation: ChatDataset
    seed: int
    encoder: ModelIdentity | None = None


def evaluate_arm(training: ArmTraining, chats: HeldOut) -> Evaluation:
    """Fit an arm and evaluate it on the same rows as the language models.

    It is saved and loaded before it answers, so that what is measured is what could be used.
    """
    start = time.perf_counter()
    name = training.name
    fitted = fit_arm(
        name,
        LabelledDocuments.of(training.train),
        LabelledDocuments.of(training.validation),
        training.seed,
        training.encoder,
    )
    training_seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as scratch:
        save_arm(name, fitted, Path(scratch))
        return evaluate_saved(name, Path(scratch), chats, training_seconds)


def evaluate_saved(name: str, files: Path, chats: HeldOut, training_seconds: float | None) -> Evaluation:
    """Evaluate an arm from the directory of its files, under the name of a model."""
    arm, evaluated = load_arm(files), chats.evaluation
    start = time.perf_counter()
    predictions = _predicted(arm, evaluated)
    seconds = time.perf_counter() - start
    core = evaluated.balanced()
    reviews = list(zip(core.frame["title"], core.frame["text"], strict=True))
    p50, p95 = latencies(arm.log_probs, reviews)
    decision = _predicted(arm, chats.decision) if chats.decision else pd.DataFrame()
    rows = sample_rows(predictions.iloc[: len(core)], SAMPLES_SHOWN)
    answers = [str(predictions["predicted"].iloc[row]) for row in rows]
    samples = sample_table(core.frame, predictions, rows, answers)
    return replace(
        evaluation_of(name, evaluated, predictions, samples),
        decision=decision,
        cost=Cost(len(evaluated) / seconds, p50, p95, megabytes_of(files), training_seconds),
    )


def _predicted(arm: Arm, chats: ChatDataset) -> pd.DataFrame:
    frame = chats.frame
    found = np.exp(arm.log_probs(list(frame["title"]), list(frame["text"])))
    return prediction_table(frame, chats.labels, found, found.argmax(1), np.ones(len(frame)))
