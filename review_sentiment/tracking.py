"""One MLflow run for each model candidate: everything that is known of it lands there.

Training opens the run; evaluation, the gate and the registration write to that
same run by its id, also when training came from the cache.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import TrackingError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from review_sentiment.chats import ChatDataset
    from review_sentiment.gate import Verdict
    from review_sentiment.lora_proof import LoraProof
    from review_sentiment.metrics import Evaluation

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
QUICK_TO_FAIL = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""Seconds and repetitions of the first request, which asks whether the server is there."""
TUNED = "tuned"
"""Directory of a run's artifacts that has the evaluation of its own model."""
PREDICTIONS_FILE = "predictions.parquet"
REVIEWS_FILE = "reviews.parquet"
SLICES_FILE = "slices.csv"
EXAMPLES_PAGE = "samples.html"
SOURCE_TAGS = {"mlflow.source.name": "run_pipeline.py", "mlflow.source.type": "LOCAL"}
"""Of a run: MLflow's page shows them beside its commit."""


def configure(tracking_uri: str) -> None:
    """Point this process to an MLflow store, and see whether it answers.

    That is asked three times within seconds; later requests are repeated for four minutes, which is
    MLflow's default: a server that is away for a while costs no training.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ[TRACKING_VARIABLE] = tracking_uri
    import mlflow

    _make_database_directory(tracking_uri)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    with reaching(tracking_uri), _variables_unless_set(QUICK_TO_FAIL):
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
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrackingError(
            f"MLflow at {tracking_uri} did not answer as it should: {first_line[:300]} "
            f"Check that it runs and that {TRACKING_VARIABLE} is right. "
            "What was finished is kept: the next run goes on from the cache."
        ) from error


def current_uri() -> str:
    """Return the address of the configured store."""
    import mlflow

    return str(mlflow.get_tracking_uri())


def client() -> MlflowClient:
    """Return a client of the configured store."""
    import mlflow

    return mlflow.MlflowClient()


def open_candidate(experiment: str, name: str, parameters: Mapping[str, str], tags: Mapping[str, str]) -> str:
    """Start a candidate's run with its parameters and tags; return its id."""
    import mlflow

    mlflow_client = client()
    found = mlflow_client.get_experiment_by_name(experiment)
    if found is None:
        experiment_id = mlflow_client.create_experiment(
            experiment, artifact_location=_artifact_location(mlflow.get_tracking_uri())
        )
    else:
        experiment_id = found.experiment_id
    run = mlflow_client.create_run(experiment_id, run_name=name, tags=dict(tags))
    log_parameters(run.info.run_id, parameters)
    return str(run.info.run_id)


def log_trial(
    experiment: str, sweep: str, name: str, parameters: Mapping[str, str], metrics: Mapping[str, float]
) -> None:
    """Log a trial as a child of its sweep's run, which is opened where it is not there yet."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    mlflow_client = client()
    found = mlflow_client.get_experiment_by_name(experiment)
    parents = (
        mlflow_client.search_runs([found.experiment_id], f"tags.sweep = '{sweep}'", max_results=1)
        if found
        else []
    )
    parent = (
        parents[0].info.run_id
        if parents
        else open_candidate(experiment, f"sweep-{sweep[:8]}", {}, {"sweep": sweep})
    )
    child = open_candidate(experiment, name, parameters, {MLFLOW_PARENT_RUN_ID: parent})
    log_metrics(child, metrics)
    finish(child)
    finish(parent)


def resume(run_id: str) -> bool:
    """Set a run that was ended back to running; return whether MLflow still has it."""
    from mlflow.exceptions import MlflowException

    try:
        client().update_run(run_id, status="RUNNING")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def log_parameters(run_id: str, parameters: Mapping[str, str]) -> None:
    """Log parameters; values that are already there must be the same."""
    from mlflow.entities import Param

    client().log_batch(run_id, params=[Param(key, value) for key, value in parameters.items()])


def log_metrics(run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Log figures of one step."""
    import time

    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client().log_batch(
        run_id, metrics=[Metric(key, float(value), now, step) for key, value in metrics.items()]
    )


def set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags."""
    from mlflow.entities import RunTag

    client().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def log_dataset(run_id: str, chats: ChatDataset, name: str, context: str) -> None:
    """Record which rows were used, as an input of the run: digest, schema and size."""
    import mlflow.data
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.entities import DatasetInput, InputTag

    dataset = mlflow.data.from_pandas(
        chats.frame[["review_id", "category", "label", "title", "text"]].astype(object),
        source=CodeDatasetSource(tags={}),
        name=name,
        targets="label",
    )
    client().log_inputs(
        run_id,
        datasets=[DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", context)])],
    )


def log_evaluation(run_id: str, evaluation: Evaluation) -> None:
    """Log a model's metrics, its pictures, its predictions, and single ones to read as table and page."""
    from review_sentiment.examples import examples_page
    from review_sentiment.plots import confusion_figure, probability_figure

    model, metrics = evaluation.model, evaluation.metrics
    # MLflow draws a group of charts for each prefix: the figures stand alone in theirs.
    for prefix, figures in (
        (model, metrics.headline() | evaluation.audit.figures()),
        (f"{model}_category", metrics.category_accuracy),
        (f"{model}_interval", metrics.interval_ends()),
    ):
        log_metrics(run_id, {f"{prefix}/{key}": value for key, value in figures.items()})
    mlflow_client = client()
    figure = confusion_figure(evaluation)
    mlflow_client.log_figure(run_id, figure, f"{model}/confusion_matrix.png")
    mlflow_client.log_figure(run_id, probability_figure(evaluation), f"{model}/probabilities.png")
    mlflow_client.log_dict(run_id, asdict(metrics), f"{model}/metrics.json")
    if evaluation.audit.n:
        mlflow_client.log_dict(run_id, asdict(evaluation.audit), f"{model}/audit.json")
    mlflow_client.log_table(run_id, evaluation.samples.astype(object), f"{model}/sample_predictions.json")
    mlflow_client.log_text(run_id, evaluation.slices.to_csv(index=False), f"{model}/{SLICES_FILE}")
    if len(evaluation.examples):
        mlflow_client.log_text(run_id, examples_page(evaluation), f"{model}/{EXAMPLES_PAGE}")
    _log_table(run_id, evaluation.predictions, f"{model}/{PREDICTIONS_FILE}")


def log_reviews(run_id: str, chats: ChatDataset) -> None:
    """Log the reviews that a candidate was evaluated on, for comparisons of single answers."""
    reviews = chats.frame[["review_id", "category", "stars", "label", "title", "text"]]
    _log_table(run_id, reviews, f"{TUNED}/{REVIEWS_FILE}")


def _log_table(run_id: str, table: pd.DataFrame, path: str) -> None:
    directory, _, name = path.rpartition("/")
    with temporary_directory() as scratch:
        file = Path(scratch) / name
        table.to_parquet(file, index=False)
        client().log_artifact(run_id, str(file), directory)


def recorded_parameters(run_id: str) -> dict[str, str]:
    """Return a candidate's parameters."""
    return dict(client().get_run(run_id).data.params)


def recorded_tags(run_id: str) -> dict[str, str]:
    """Return a candidate's tags."""
    return dict(client().get_run(run_id).data.tags)


def recorded_predictions(run_id: str, model: str = TUNED) -> pd.DataFrame | None:
    """Return what a model answered to the evaluation reviews; None where the run does not have it."""
    return _recorded_table(run_id, f"{model}/{PREDICTIONS_FILE}")


def recorded_slices(run_id: str, model: str) -> pd.DataFrame:
    """Return the slices of a model's evaluation; none where the run does not have them."""
    import pandas as pd

    with _recorded_file(run_id, f"{model}/{SLICES_FILE}") as file:
        return pd.read_csv(file) if file else pd.DataFrame()


def recorded_reviews(run_id: str) -> pd.DataFrame | None:
    """Return the reviews that a candidate was evaluated on; None where its run does not have them."""
    return _recorded_table(run_id, f"{TUNED}/{REVIEWS_FILE}")


def recorded_bytes(run_id: str, path: str) -> bytes:
    """Return a file of a run: a picture, a page, a card.

    Raises:
        TrackingError: the run does not have it.
    """
    with _recorded_file(run_id, path) as file:
        if file is None:
            raise TrackingError(f"The MLflow run {run_id} has no file {path}: it may have failed before.")
        return Path(file).read_bytes()


def recorded_text(run_id: str, path: str) -> str | None:
    """Return a text file of a run; None where the run does not have it."""
    with _recorded_file(run_id, path) as file:
        return Path(file).read_text(encoding="utf-8") if file else None


def _recorded_table(run_id: str, path: str) -> pd.DataFrame | None:
    import pandas as pd

    with _recorded_file(run_id, path) as file:
        return pd.read_parquet(file) if file else None


@contextmanager
def _recorded_file(run_id: str, path: str) -> Iterator[str | None]:
    """Yield a copy of an artifact's file; None where the run does not have it."""
    import mlflow

    if path not in {found.path for found in client().list_artifacts(run_id, path.rpartition("/")[0])}:
        yield None
        return
    with temporary_directory() as scratch:
        yield mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch)


def log_proof(run_id: str, proof: LoraProof) -> None:
    """Log the LoRA proof, layer by layer."""
    moved = [layer.b_norm for layer in proof.layers]
    log_metrics(
        run_id,
        {
            "lora/layers": len(moved),
            "lora/layers_moved": sum(norm > 0 for norm in moved),
            "lora/smallest_b_norm": min(moved),
            "lora/first_loss": proof.first_loss,
            "lora/last_loss": proof.last_loss,
        },
    )
    client().log_dict(run_id, asdict(proof), "training/lora_proof.json")


def log_curve(
    run_id: str, curve: tuple[dict[str, float], ...], validations: tuple[dict[str, float], ...]
) -> None:
    """Log the training curve as a picture, beside the live metrics `train/*`."""
    from review_sentiment.plots import curve_figure

    client().log_figure(run_id, curve_figure(curve, validations), "training/curves.png")


def log_verdict(run_id: str, verdict: Verdict) -> None:
    """Log the gate's decision: every rule with its figure, and tags."""
    client().log_dict(run_id, asdict(verdict), "gate.json")
    set_tags(
        run_id,
        {"gate": "passed" if verdict.passed else "not passed", "gate.reason": verdict.reason()},
    )


def log_text(run_id: str, text: str, file: str) -> None:
    """Log a text or an HTML page."""
    client().log_text(run_id, text, file)


def finish(run_id: str, status: str = "FINISHED") -> None:
    """End the run; `status` is FINISHED, FAILED or KILLED. Later steps may still write to it."""
    client().set_terminated(run_id, status)


def require_run(run_id: str) -> None:
    """Check that the store knows the run.

    Raises:
        TrackingError: it does not, which happens when the store was moved or
            emptied while the cache still holds the trained adapter.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        client().get_run(run_id)
    except MlflowException as error:
        raise TrackingError(
            f"The trained adapter came from the cache, but MLflow at {mlflow.get_tracking_uri()} "
            f"does not know its run {run_id}. Set {TRACKING_VARIABLE} back to where it was trained, "
            "or train again with --rerun finetune."
        ) from error


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a directory for files on their way to MLflow."""
    return tempfile.TemporaryDirectory(prefix="review-sentiment-mlflow-")


def _make_database_directory(tracking_uri: str) -> None:
    if not tracking_uri.startswith("sqlite:///"):
        return
    directory = Path(tracking_uri.removeprefix("sqlite:///")).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrackingError(
            f"The directory of MLflow's database cannot be made: {directory}: {error.strerror}. "
            f"Set {TRACKING_VARIABLE} to a place that can be written."
        ) from error


def _artifact_location(tracking_uri: str) -> str | None:
    """Keep the artifacts of a sqlite store beside its database; a server knows its own place."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    database = Path(tracking_uri.removeprefix("sqlite:///")).absolute()
    return (database.parent / "artifacts").as_uri()
