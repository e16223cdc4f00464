"""A candidate while it is trained: its MLflow run from the first step to the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import TrackingError
from review_sentiment.tracking.mlflow_store import (
    EXAMPLES_PAGE,
    PREDICTIONS_FILE,
    REVIEWS_FILE,
    SLICES_FILE,
    TRACKING_VARIABLE,
    TUNED,
    client,
    temporary_directory,
)
from review_sentiment.tracking.provenance import package_versions

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.training.job import FinishedTraining
    from review_sentiment.training.lora_proof import LoraProof


SOURCE_TAGS = {"mlflow.source.name": "run_pipeline.py", "mlflow.source.type": "LOCAL"}
"""Of a run: MLflow's page shows them beside its commit."""


@dataclass(frozen=True)
class Candidate:
    """A run that is open for training."""

    run_id: str

    @classmethod
    def open(
        cls,
        experiment: str,
        name: str,
        base: ModelIdentity,
        compute: Mapping[str, str],
        settings: Mapping[str, str],
        packages: tuple[str, ...],
        commit: str,
        train: ChatDataset,
    ) -> Candidate:
        """Start the run with parameters, environment, commit and training data."""
        run_id = open_candidate(
            experiment,
            name,
            parameters={
                **{key.replace(".", "/"): value for key, value in settings.items()},
                **{f"compute/{key}": value for key, value in compute.items()},
            },
            tags={
                "base_model": base.title,
                "base_model.revision": base.revision or "newest",
                "mlflow.source.git.commit": commit,
                **package_versions(packages),
            },
        )
        log_dataset(run_id, train, "train", context="training")
        return cls(run_id)

    @classmethod
    def reopen(cls, run_id: str) -> Candidate | None:
        """Go on with the run of a training that was interrupted; None where MLflow no longer has it."""
        return cls(run_id) if resume(run_id) else None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """End the run as finished, failed or killed, however the training ends."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            finish(self.run_id, "KILLED")
            raise
        except BaseException:
            finish(self.run_id, "FAILED")
            raise
        finish(self.run_id)

    def log_step(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the figures of one optimiser step."""
        log_metrics(self.run_id, {f"train/{key}": value for key, value in figures.items()}, step)

    def log_training(self, trained: FinishedTraining) -> None:
        """Log what a finished training took, its curve and the LoRA proof."""
        log_metrics(
            self.run_id,
            {f"training/{key}": value for key, value in asdict(trained.summary).items()},
        )
        log_proof(self.run_id, trained.proof)
        log_curve(self.run_id, trained.curve, trained.validations)


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
    from review_sentiment.evaluation.examples_page import examples_page
    from review_sentiment.evaluation.plots import confusion_figure, probability_figure

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
    from review_sentiment.training.curves import curve_figure

    client().log_figure(run_id, curve_figure(curve, validations), "training/curves.png")


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


def _artifact_location(tracking_uri: str) -> str | None:
    """Keep the artifacts of a sqlite store beside its database; a server knows its own place."""
    if not tracking_uri.startswith("sqlite:///"):
        return None
    database = Path(tracking_uri.removeprefix("sqlite:///")).absolute()
    return (database.parent / "artifacts").as_uri()
