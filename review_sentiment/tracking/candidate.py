"""A candidate's MLflow run: its training. Each evaluation has a child run (`evaluation_run.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import TrackingError
from review_sentiment.tracking.mlflow_store import TRACKING_VARIABLE, client, current_uri
from review_sentiment.tracking.provenance import package_versions
from review_sentiment.tracking.run_log import (
    log_dataset,
    log_json,
    log_metrics,
    open_run,
    recording,
    set_tags,
)

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.training.job import FinishedTraining
    from review_sentiment.training.lora_proof import LoraProof

INTRODUCTION = (
    "A training: its parameters, curves, LoRA proof and adapter. Each evaluation of the adapter is a child "
    "run. Versions:"
)
VERSIONS_LISTED = 20
"""Newest versions in a run's description: MLflow keeps 8,000 characters of a tag."""


@dataclass(frozen=True)
class RunDetails:
    """What a candidate's run records when it starts.

    `settings` and `compute` become parameters, the versions of `packages` and the rest become tags. `base` is
    the model that the training starts from, None if it starts from nothing.
    """

    experiment: str
    name: str
    base: ModelIdentity | None
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
                **_base_tags(details.base),
                "mlflow.source.git.commit": details.commit,
                **package_versions(details.packages),
            },
        )
        log_dataset(run_id, train.frame, "train", context="training")
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

    def recording(self) -> AbstractContextManager[None]:
        """Return a context that ends the run as finished, failed or killed, however the training ends."""
        return recording(self.run_id)

    def log_step(self, step: int, figures: Mapping[str, float]) -> None:
        """Log the metrics of one optimizer step."""
        log_metrics(self.run_id, {f"train/{key}": value for key, value in figures.items()}, step)

    def log_summary(self, figures: Mapping[str, float]) -> None:
        """Log the figures of a finished training."""
        log_metrics(self.run_id, {f"training/{key}": value for key, value in figures.items()})

    def log_training(self, trained: FinishedTraining) -> None:
        """Log the summary of a finished training, its curve and the LoRA proof."""
        from review_sentiment.training.curves import curve_figure

        self.log_summary(asdict(trained.summary))
        _log_proof(self.run_id, trained.proof)
        figure = curve_figure(trained.curve, trained.validations)
        client().log_figure(self.run_id, figure, "training/curves.png")


def _base_tags(base: ModelIdentity | None) -> dict[str, str]:
    if base is None:
        return {}
    return {"base_model": base.title, "base_model.revision": base.revision or "newest"}


def _log_proof(run_id: str, proof: LoraProof) -> None:
    """Log the LoRA proof, layer by layer."""
    moved = [layer.distance for layer in proof.layers]
    log_metrics(
        run_id,
        {
            "lora/layers": len(moved),
            "lora/layers_moved": sum(norm > 0 for norm in moved),
            "lora/smallest_distance": min(moved),
            "lora/first_loss": proof.first_loss,
            "lora/last_loss": proof.last_loss,
        },
    )
    log_json(run_id, asdict(proof), "training/lora_proof.json")


def require_run(run_id: str) -> None:
    """Check that the store has the run.

    Raises:
        TrackingError: it does not: the run was deleted, or the store was moved or emptied while the cache
            still holds the trained adapter.
    """
    require_active(
        run_id,
        "the training of the adapter, which came from the cache",
        f"Set {TRACKING_VARIABLE} back to where it was trained, or train again with --rerun finetune.",
    )


def require_active(run_id: str, content: str, advice: str) -> None:
    """Check that the store has a run, and that it is not deleted.

    Raises:
        TrackingError: with what the run holds and what to do.
    """
    from mlflow.entities import LifecycleStage
    from mlflow.exceptions import MlflowException

    try:
        stage = client().get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        raise TrackingError(
            f"MLflow at {current_uri()} does not know its run {run_id}, {content}. {advice}"
        ) from error
    if stage == LifecycleStage.DELETED:
        raise TrackingError(
            f"The run {run_id}, {content}, was deleted in MLflow at {current_uri()}. Restore it with "
            f"`mlflow runs restore --run-id {run_id}`. {advice}"
        )


def link_version(run_id: str, version: str, evaluation_run: str) -> None:
    """List a version and the run of its evaluation in the description of a training's run."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    note = client().get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE, "")
    title = f"- {version}: "
    others = [line for line in note.splitlines() if line.startswith("- ") and not line.startswith(title)]
    lines = [INTRODUCTION, "", *others[1 - VERSIONS_LISTED :], f"{title}evaluation run `{evaluation_run}`"]
    set_tags(run_id, {MLFLOW_RUN_NOTE: "\n".join(lines)})
