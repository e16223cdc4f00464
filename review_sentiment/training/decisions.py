"""The decisions of a run, each with its reason: what a person asks first when a run is slow or fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.resources.micro_batches import Rows


@dataclass(frozen=True)
class Decision:
    """One choice of a run and why it was made."""

    name: str
    choice: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.choice} ({self.reason})"


def decisions(recipe: Recipe, rows: Rows) -> list[Decision]:
    """Return the decisions of a training whose heaviest batch has these rows."""
    plan, training = recipe.plan, recipe.training
    why = plan.reasons
    asked, every = training.gradient_checkpointing, recipe.checkpointing
    kernel, why_kernel = plan.packed_attention
    packs_rows = plan.packs_rows
    heaviest = rows.heaviest(recipe.token_budget, packs_rows)
    return [
        Decision(
            "device",
            plan.device,
            why["device"] if training.processes == 1 else f"training.processes={training.processes}",
        ),
        Decision("precision", plan.precision, why["precision"]),
        Decision("weights", recipe.base.quantization, f"model.quantization={recipe.base.quantization}"),
        Decision(
            "answers",
            "classification head" if recipe.has_head else "label words",
            f"model.head={recipe.head}",
        ),
        Decision(
            "attention",
            f"packed, {kernel}" if packs_rows else plan.attention,
            why_kernel if packs_rows else why["attention"],
        ),
        Decision("class balance", training.balance.replace("_", " "), f"training.balance={training.balance}"),
        Decision("optimizer", plan.optimizer, why["optimizer"]),
        _fused_lora(recipe),
        _lean_layers(recipe),
        _dequantised_once(recipe),
        Decision("packing", "on" if packs_rows else "off", why["packs_rows"]),
        Decision(
            "gradient checkpointing",
            f"every {every} layers" if every > 1 else "on" if every else "off",
            why["gradient_checkpointing"]
            if asked == "auto"
            else why.get(
                "training.gradient_checkpointing", f"training.gradient_checkpointing={str(asked).lower()}"
            ),
        ),
        Decision(
            "micro-batches",
            f"up to {recipe.token_budget} tokens",
            why.get("training.tokens_per_pass", "training.tokens_per_pass")
            + f"; the heaviest has {heaviest.tokens}",
        ),
    ]


def _fused_lora(recipe: Recipe) -> Decision:
    name = "fused LoRA layers"
    if "fused_lora" in recipe.training.disable:
        return Decision(name, "off", "training.disable")
    for setting in ("dropout", "dora"):
        if value := getattr(recipe.lora, setting):
            return Decision(name, "off", f"lora.{setting}={str(value).lower()} needs PEFT's layers")
    return Decision(name, "on", "base product and update in one operation, for layers without a bias")


def _lean_layers(recipe: Recipe) -> Decision:
    off = "lean_layers" in recipe.training.disable
    reason = "norms, gates and rotation keep less for the backward pass"
    return Decision("lean layers", "off" if off else "on", "training.disable" if off else reason)


def _dequantised_once(recipe: Recipe) -> Decision:
    wanted = recipe.training.dequantise_once
    return Decision(
        "weights dequantised",
        "once" if recipe.dequantises_once else "in each micro-batch",
        recipe.plan.reasons.get(
            "training.dequantise_once",
            f"training.dequantise_once={str(wanted).lower()}, on {recipe.plan.device}",
        ),
    )
