"""A candidate's MLflow run, from the start of training to registration.

Training writes through an open `Candidate`. Later steps write by the run's id, also when training came
from the cache. Their functions are not methods of `Candidate`: the training step's fingerprint includes
the whole class, and a change in what an evaluation logs must not train again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import TrackingError
from review_sentiment.names import safe_names
from review_sentiment.tracking.mlflow_store import (
    EXAMPLES_PAGE,
    PREDICTIONS_FILE,
    SLICES_FILE,
    TRACKING_VARIABLE,
    client,
    current_uri,
)
from review_sentiment.tracking.provenance import package_versions
from review_sentiment.tracking.run_log import (
    finish,
    log_dataset,
    log_json,
    log_metrics,
    log_parquet,
    log_text,
    open_run,
    set_tags,
)

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.training.job import FinishedTraining
    from review_sentiment.training.lora_proof import LoraProof


@dataclass(frozen=True)
class RunDetails:
    """What a candidate's run records when it starts.

    `settings` and `compute` become parameters, the versions of `packages` and the rest become tags.
    """

    experiment: str
    name: str
    base: ModelIdentity
    compute: Mapping[str, str]
    settings: Mapping[str, str]
    packages: tuple[str, ...]
    commit: str


@dataclass(frozen=True)
class Candidate:
    """A run that is open for training."""

    run_id: str

    @classmethod
    def open(cls, details: RunDetails, train: ChatDataset) -> Candidate:
        """Start the run with parameters, environment, commit and training data."""
        run_id = open_run(
            details.experiment,
            details.name,
            parameters={
                **{key.replace(".", "/"): value for key, value in details.settings.items()},
                **{f"compute/{key}": value for key, value in details.compute.items()},
            },
            tags={
                "base_model": details.base.title,
                "base_model.revision": details.base.revision or "newest",
                "mlflow.source.git.commit": details.commit,
                **package_versions(details.packages),
            },
        )
        log_dataset(run_id, train, "train", context="training")
        return cls(run_id)

    @classmethod
    def reopen(cls, run_id: str) -> Candidate | None:
        """Set the run of an interrupted training back to running; None if MLflow no longer has it."""
        from mlflow.exceptions import MlflowException

        try:
            client().update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return cls(run_id)

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
        """Log the metrics of one optimizer step."""
        log_metrics(self.run_id, {f"train/{key}": value for key, value in figures.items()}, step)

    def log_training(self, trained: FinishedTraining) -> None:
        """Log the summary of a finished training, its curve and the LoRA proof."""
        from review_sentiment.training.curves import curve_figure

        summary = asdict(trained.summary)
        log_metrics(self.run_id, {f"training/{key}": value for key, value in summary.items()})
        _log_proof(self.run_id, trained.proof)
        figure = curve_figure(trained.curve, trained.validations)
        client().log_figure(self.run_id, figure, "training/curves.png")


def _log_proof(run_id: str, proof: LoraProof) -> None:
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
    log_json(run_id, asdict(proof), "training/lora_proof.json")


def require_run(run_id: str) -> None:
    """Check that the store knows the run.

    Raises:
        TrackingError: it does not: the store was moved or emptied while the cache still holds the
            trained adapter.
    """
    from mlflow.exceptions import MlflowException

    try:
        client().get_run(run_id)
    except MlflowException as error:
        raise TrackingError(
            f"The trained adapter came from the cache, but MLflow at {current_uri()} "
            f"does not know its run {run_id}. Set {TRACKING_VARIABLE} back to where it was trained, "
            "or train again with --rerun finetune."
        ) from error


def log_evaluation(run_id: str, evaluation: Evaluation) -> None:
    """Log a model's metrics, its plots, its predictions, and examples to read as table and page."""
    from review_sentiment.evaluation.examples_page import examples_page
    from review_sentiment.evaluation.plots import confusion_figure, probability_figure

    model, metrics = evaluation.model, evaluation.metrics
    safe = safe_names(metrics.category_accuracy)
    # MLflow groups charts by prefix: the headline figures get a group of their own.
    for prefix, figures in (
        (model, metrics.headline() | evaluation.audit.figures()),
        (f"{model}_category", {safe[name]: value for name, value in metrics.category_accuracy.items()}),
        (f"{model}_interval", metrics.interval_ends()),
    ):
        log_metrics(run_id, {f"{prefix}/{key}": value for key, value in figures.items()})
    client().log_figure(run_id, confusion_figure(evaluation), f"{model}/confusion_matrix.png")
    client().log_figure(run_id, probability_figure(evaluation), f"{model}/probabilities.png")
    log_json(run_id, asdict(metrics), f"{model}/metrics.json")
    if evaluation.audit.n:
        log_json(run_id, asdict(evaluation.audit), f"{model}/audit.json")
    client().log_table(run_id, evaluation.samples.astype(object), f"{model}/sample_predictions.json")
    log_text(run_id, evaluation.slices.to_csv(index=False), f"{model}/{SLICES_FILE}")
    if len(evaluation.examples):
        log_text(run_id, examples_page(evaluation), f"{model}/{EXAMPLES_PAGE}")
    log_parquet(run_id, evaluation.predictions, f"{model}/{PREDICTIONS_FILE}")


def log_tuned_evaluation(run_id: str, chats: ChatDataset, evaluation: Evaluation) -> None:
    """Log the candidate's own evaluation, and which reviews it was evaluated on."""
    log_dataset(run_id, chats, "evaluation", context="evaluation")
    log_evaluation(run_id, evaluation)


def record_registration(run_id: str, card: str, files: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Log the card and other text files, and set tags; MLflow's page of the run shows the card."""
    for file, text in {"model_card.md": card, **files}.items():
        log_text(run_id, text, file)
    source = {"mlflow.source.name": "run_pipeline.py", "mlflow.source.type": "LOCAL"}
    set_tags(run_id, {"mlflow.note.content": card, **source, **tags})
