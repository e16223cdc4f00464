"""What an evaluation found: predictions, the metrics computed from them, and rows to read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.evaluation.audit import Audit
from review_sentiment.evaluation.calibration import fit_calibration
from review_sentiment.evaluation.examples import example_table, sample_table
from review_sentiment.evaluation.intervals import figures
from review_sentiment.evaluation.metrics import Metrics, compute_metrics
from review_sentiment.evaluation.predictions import answers_of, slice_table

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.scoring.answers import KeptAnswers


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions, their metrics, and a few rows with its raw answers.

    `predictions`, `samples` and `slices` are those of `predictions.py`, `examples` those of `examples.py`.
    """

    model: str
    metrics: Metrics
    predictions: pd.DataFrame
    samples: pd.DataFrame
    slices: pd.DataFrame
    audit: Audit = field(default_factory=Audit)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Empty where the evaluation was put together from a run's files, which have no texts beside answers."""


def evaluation_of(
    model: str,
    chats: ChatDataset,
    predictions: pd.DataFrame,
    samples: pd.DataFrame | None = None,
    audit: Audit | None = None,
) -> Evaluation:
    """Return the evaluation that a table of predictions stands for, whose rows are those of the chats."""
    if samples is None:
        samples = sample_table(chats.frame, predictions, chats.labels, [], [])
    return Evaluation(
        model=model,
        metrics=compute_metrics(predictions, chats.labels),
        predictions=predictions,
        samples=samples,
        slices=slice_table(chats.frame, predictions),
        audit=audit or Audit(),
        examples=example_table(chats.frame, predictions, chats.labels, samples),
    )


def with_calibration(evaluation: Evaluation, validation: KeptAnswers | None) -> Evaluation:
    """Add what temperature and threshold make of the answers; both come from validation reviews alone."""
    if validation is None:
        return evaluation
    metrics = evaluation.metrics
    fitted = fit_calibration(validation.arrays())
    found = figures(fitted.apply(answers_of(evaluation.predictions, metrics.labels)))
    calibrated = {
        "temperature": fitted.temperature,
        **({} if fitted.threshold is None else {"threshold": fitted.threshold}),
        "validation_n": float(fitted.n),
        **{name: float(found[name]) for name in ("accuracy", "f1", "brier", "calibration_error")},
    }
    return replace(evaluation, metrics=replace(metrics, calibrated=calibrated))
