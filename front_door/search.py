"""A sweep from the front door: its trials in MLflow, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from front_door.text_table import columns
from review_sentiment.settings_files import known_keys
from review_sentiment.tracking import candidate, mlflow_store
from review_sentiment.training.sweep import TrialResult, parse_dimension, sweep

if TYPE_CHECKING:
    from review_sentiment.config import Settings


def search(settings: Settings, dimensions: Sequence[str], trials: int, store: str) -> list[TrialResult]:
    """Run the sweep and log each finished trial to the MLflow store.

    Raises:
        UsageError: a dimension is not one that can be searched.
        TrackingError: MLflow cannot be reached.
    """
    parsed = [parse_dimension(text, known_keys()) for text in dimensions]
    mlflow_store.configure(store)

    def record(identity: str, result: TrialResult) -> None:
        candidate.log_trial(
            settings.tracking.experiment,
            identity,
            f"trial-{result.number}",
            {key.replace(".", "/"): value for key, value in result.values.items()},
            {f"validation/{name}": value for name, value in result.figures.items()},
        )

    return sweep(settings, parsed, trials, record)


def trials_table(trials: Sequence[TrialResult]) -> str:
    """Return one line a trial, the best first, and how to run with its settings."""
    if not trials:
        return "No trial could be finished; see the log."
    shown = [" ".join(f"--set {key}={value}" for key, value in trial.values.items()) for trial in trials]
    rows = [("macro-F1", "ROC AUC", "seconds", "settings")]
    rows += [
        (
            f"{trial.macro_f1:.4f}",
            f"{trial.figures['roc_auc']:.4f}",
            f"{trial.figures['seconds']:.0f}",
            values,
        )
        for trial, values in zip(trials, shown, strict=True)
    ]
    return f"{columns(rows)}\n\npython run_pipeline.py {shown[0]}"
