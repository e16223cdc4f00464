"""The MLflow store: its address, a client of it, and the names of the files in its runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import TrackingError, first_line
from review_sentiment.file_lock import created_once

if TYPE_CHECKING:
    from mlflow import MlflowClient


TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
QUICK_TO_FAIL = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""Seconds and retries of the first request, which checks that the server responds."""
TUNED, BASELINE = "tuned", "baseline"
"""Directories of a run's files with the evaluation of its own model, and of the base model."""
GATE_TAG, GATE_REASON_TAG = "gate", "gate.reason"
"""Tags of a version and of its evaluation's run."""
EVALUATION_RUN_TAG = "evaluation_run"
"""Tag of a version with the MLflow run of its evaluation, a child of the run of its training."""
TEACHER_TAG = "teacher"
"""Tag of a student's version with its teacher: NAME/VERSION."""
PREDICTIONS_FILE = "predictions.parquet"
REVIEWS_FILE = "reviews.parquet"
SLICES_FILE = "slices.csv"
NATURAL_FILE = "natural.json"
TRADEOFFS_FILE = "tradeoffs.json"
STRATIFIED_FILE = "stratified.parquet"
CARD_FILE = "model_card.md"
EXAMPLES_PAGE = "samples.html"


def configure(tracking_uri: str) -> None:
    """Point this process to an MLflow store, and check that it responds.

    The check fails within seconds, after three attempts. Later requests are retried for four minutes,
    MLflow's default, so that a short outage does not end a training.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ[TRACKING_VARIABLE] = tracking_uri
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    with _database(tracking_uri), reaching(tracking_uri), _variables_unless_set(QUICK_TO_FAIL):
        mlflow.search_experiments(max_results=1)


@contextmanager
def _variables_unless_set(variables: Mapping[str, str]) -> Iterator[None]:
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def reaching(tracking_uri: str) -> Iterator[None]:
    """Turn MLflow's own errors into one that says where and what to do."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"The request to MLflow at {tracking_uri} failed: {first_line(error)[:300]} "
            f"{_advice(tracking_uri)} Finished steps are kept: the next run resumes from the cache."
        ) from error


def _advice(tracking_uri: str) -> str:
    if tracking_uri.startswith("sqlite:"):
        return "Check that its disk has space and that it is a database. If it is damaged, restore it."
    return f"Check that the server is up and that {TRACKING_VARIABLE} is right."


def current_uri() -> str:
    """Return the address of the configured store."""
    import mlflow

    return str(mlflow.get_tracking_uri())


def client() -> MlflowClient:
    """Return a client of the configured store, for this package alone."""
    import mlflow

    return mlflow.MlflowClient()


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for files on their way to or from MLflow."""
    return tempfile.TemporaryDirectory(prefix="review-sentiment-mlflow-")


def _database(tracking_uri: str) -> AbstractContextManager[None]:
    """Return a context in which one process creates a SQLite database: MLflow does so without a lock."""
    from sqlalchemy.engine import make_url

    if not tracking_uri.startswith("sqlite:"):
        return nullcontext()
    file = Path(make_url(tracking_uri).database or "")
    return created_once(file.with_name(f"{file.name}.lock"), [file])
