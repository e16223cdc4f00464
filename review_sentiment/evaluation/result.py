"""The result of an evaluation: predictions, the metrics computed from them, and examples to read."""

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
    """A model's predictions with their metrics and examples.

    `predictions` and `slices` are tables of `predictions.py`, `samples` and `examples` of `examples.py`.
    """

    model: str
    metrics: Metrics
    predictions: pd.DataFrame
    samples: pd.DataFrame
    slices: pd.DataFrame
    audit: Audit = field(default_factory=Audit)
    examples: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Empty if the evaluation was read from a run, which stores no texts beside the answers."""


def evaluation_of(
    model: str,
    chats: ChatDataset,
    predictions: pd.DataFrame,
    samples: pd.DataFrame | None = None,
    audit: Audit | None = None,
) -> Evaluation:
    """Compute an evaluation from a table of predictions, which has the rows of the chats."""
    if samples is None:
        samples = sample_table(chats.frame, predictions, [], [])
    return Evaluation(
        model=model,
        metrics=compute_metrics(predictions, chats.labels),
        predictions=predictions,
        samples=samples,
        slices=slice_table(chats.frame, predictions),
        audit=audit or Audit(),
        examples=example_table(chats.frame, predictions, samples),
    )


def with_calibration(evaluation: Evaluation, validation: KeptAnswers | None) -> Evaluation:
    """Add the metrics of the calibrated answers; the calibration is fitted on validation reviews."""
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
