"""LoRA adapters: put on a model, saved, and everything that must travel with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.models.base_model import ModelIdentity

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from review_sentiment.config import LoraSettings


ADAPTER = "default"
"""PEFT's name of the one adapter that is trained."""


def add_adapters(model: PreTrainedModel, lora: LoraSettings) -> PreTrainedModel:
    """Put LoRA adapters on the layers that the settings name; `all-linear` leaves the output layer out."""
    from peft import LoraConfig, get_peft_model

    adapted: PreTrainedModel = get_peft_model(
        model,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets[0] if lora.targets == ("all-linear",) else list(lora.targets),
            use_rslora=lora.rank_stabilised,
            use_dora=lora.dora,
            task_type="CAUSAL_LM",
        ),
    )
    return adapted


def save_adapter(model: PreTrainedModel, base: ModelIdentity, directory: Path) -> None:
    """Save the adapter alone, without paths of this machine: equal adapters are equal files."""
    model.peft_config[ADAPTER].base_model_name_or_path = base.name
    model.save_pretrained(str(directory), save_embedding_layers=False)
    (directory / "README.md").unlink(missing_ok=True)  # PEFT's empty template of a card


def take_adapter(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the weights that are trained, by their names, in the machine's memory."""
    return {
        name: parameter.detach().to("cpu", copy=True)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def put_adapter(model: torch.nn.Module, adapter: Mapping[str, torch.Tensor]) -> None:
    """Go back to weights that `take_adapter` took; weights without a copy stay."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in adapter:
                parameter.copy_(adapter[name])


def train_adapters_in_fp32(model: torch.nn.Module) -> None:
    """Undo TRL's cast of the adapters to BF16: small steps would be rounded away, and FP16's scaler fails."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
