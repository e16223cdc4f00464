"""A training recipe: everything that determines a result, except the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from review_sentiment.config import DEFAULT_HEAD, Head, LoraSettings, Settings, TrainingSettings
from review_sentiment.models.base_model import ModelIdentity, identify
from review_sentiment.models.compute import ComputePlan, plan_compute

LARGEST_BUDGET = 16_384
"""Larger micro-batches gain nothing."""


@dataclass(frozen=True)
class Recipe:
    """Which model, on which device, with which hyperparameters, seed and kind of answer."""

    base: ModelIdentity
    plan: ComputePlan
    lora: LoraSettings
    training: TrainingSettings
    seed: int
    head: Head = DEFAULT_HEAD

    @classmethod
    def from_settings(cls, settings: Settings, plan: ComputePlan | None = None) -> Recipe:
        """Return the recipe of some settings, for this machine unless another plan is given.

        Raises:
            UsageError: the settings ask for a device or a precision that this machine does not have.
        """
        model = settings.model
        return cls(
            identify(model),
            (plan or plan_compute(model.device, model.precision)).without(settings.training.disable),
            settings.lora,
            settings.training,
            settings.seed,
            model.head,
        )

    def with_training(self, **changes: Any) -> Recipe:
        """Return the recipe with other training settings."""
        return replace(self, training=self.training.model_copy(update=changes))

    def with_rank(self, rank: int) -> Recipe:
        """Return the recipe with another LoRA rank."""
        return replace(self, lora=self.lora.model_copy(update={"rank": rank}))

    @property
    def has_head(self) -> bool:
        """Return whether a classification head takes the place of the output layer."""
        return self.head == "classification"

    @property
    def checkpointing(self) -> int:
        """Return k if every k-th layer recomputes its activations in the backward pass, 0 if none does."""
        return int(self.plan.checkpoints_activations(self.training.gradient_checkpointing))

    @property
    def checkpoints_activations(self) -> bool:
        """Return whether activations are recomputed in the backward pass."""
        return self.checkpointing > 0

    @property
    def recomputed_fraction(self) -> float:
        """Return the fraction of the layers that recompute their activations."""
        return 1 / self.checkpointing if self.checkpointing else 0.0

    @property
    def token_budget(self) -> int:
        """Return the most tokens of a micro-batch, as long as nobody has chosen less for `auto`."""
        tokens = self.training.tokens_per_pass
        return LARGEST_BUDGET if tokens == "auto" else tokens

    @property
    def dequantises_once(self) -> bool:
        """Return whether the 4-bit weights are kept dequantised as well."""
        return self.plan.dequantises_once(self.training.dequantise_once)
