"""What a training takes and what it returns: `TrainingJob` in, `FinishedTraining` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.training.checkpoints import CheckpointStore, training_identity
from review_sentiment.training.lora_proof import LoraProof
from review_sentiment.training.trained_adapter import TrainingSummary

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.models.recipe import Recipe

WITHOUT_EFFECT = frozenset(
    {
        "model.name",  # the identity has the revision
        "model.revision",
        "training.fit",
        "training.tokens_per_pass",
        "training.gradient_checkpointing",
        "training.dequantise_once",
        "training.checkpoint_dir",
        "training.checkpoint_minutes",
        "training.checkpoint_steps",
    }
)
"""Settings without effect on the result: a checkpoint that was made with other values can be resumed."""
Observer = Callable[[int, Mapping[str, float]], None]
"""Receives the optimizer step and its figures: loss, learning_rate, grad_norm, tokens_per_second, memory."""


@dataclass(frozen=True)
class TrainingJob:
    """One training: the recipe, its data, and the directory that the adapter is saved to.

    Only the recipe and the data determine the result.
    """

    recipe: Recipe
    train: ChatDataset
    adapter: Path
    validation: ChatDataset | None = None


def identity_of(job: TrainingJob, settings: Mapping[str, str], packages: Mapping[str, str]) -> str:
    """Return the identity of a training, under which its checkpoints are stored.

    The base model counts by its revision, for a directory a hash of its files, and not by where it is.

    `settings` are all settings of the job by key; `packages` are the versions that may change the result.
    """
    base = job.recipe.base
    return training_identity(
        base=(base.revision or base.name, base.quantization),
        data=job.train.fingerprint(),
        validation=job.validation.fingerprint() if job.validation else None,
        settings={key: value for key, value in settings.items() if key not in WITHOUT_EFFECT},
        precision=job.recipe.plan.precision,
        packages=packages,
    )


@dataclass(frozen=True)
class TrainingContext:
    """What surrounds a training and leaves its result unchanged: observers and checkpoints.

    `notes` are saved with each checkpoint. `scratch` is a directory that the processes of one training share.
    """

    observers: tuple[Observer, ...] = ()
    checkpoints: CheckpointStore | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    scratch: Path | None = None


@dataclass(frozen=True)
class FinishedTraining:
    """A saved adapter, its proof, its curve and its validations."""

    adapter: Path
    proof: LoraProof
    summary: TrainingSummary
    curve: tuple[dict[str, float], ...]
    validations: tuple[dict[str, float], ...] = ()
