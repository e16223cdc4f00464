"""Log the decisions of a run, each with its reason: what a person asks first when a run is slow or fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.resources.micro_batches import Rows

logger = logging.getLogger(__name__)


def log_decisions(recipe: Recipe, rows: Rows, packs_rows: bool) -> None:
    """Log each choice of this run and its reason."""
    plan, training, reasons = recipe.plan, recipe.training, recipe.plan.reasons
    asked = f"training.gradient_checkpointing={training.gradient_checkpointing}"
    checkpointing = (
        reasons.get("gradient_checkpointing", "") if training.gradient_checkpointing == "auto" else asked
    )
    cannot_pack = plan.packs_rows and not packs_rows
    packing = "this model's attention cannot be packed" if cannot_pack else reasons.get("packs_rows", "")
    heaviest = rows.heaviest(training.tokens_per_pass, packs_rows)
    for name, choice, reason in (
        ("device", plan.device, reasons.get("device", "")),
        ("precision", plan.precision, reasons.get("precision", "")),
        ("weights", recipe.base.quantization, f"model.quantization={recipe.base.quantization}"),
        (
            "attention",
            "packed" if packs_rows else plan.attention,
            "each row sees the shared prefix and itself" if packs_rows else reasons.get("attention", ""),
        ),
        ("optimizer", plan.optimizer, reasons.get("optimizer", "")),
        ("packing", "on" if packs_rows else "off", packing),
        ("gradient checkpointing", "on" if recipe.checkpoints_activations else "off", checkpointing),
        (
            "micro-batch",
            f"up to {training.tokens_per_pass} tokens",
            f"the heaviest batch has micro-batches of up to {heaviest.tokens} tokens",
        ),
    ):
        logger.info("%s: %s (%s)", name, choice, reason)
