"""LoRA adapters: added to a model, saved, copied and restored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import UsageError, did_you_mean
from review_sentiment.models.base_model import ModelIdentity

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

    from review_sentiment.config import LoraSettings


ALL_LINEAR = ("all-linear",)
ADAPTER = "default"
"""PEFT's name for the adapter that is trained."""
HEAD_FILE = "head.safetensors"
"""The classification head in an adapter's directory, if the version has one (`label_head.py`)."""


def linear_layers(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """Return the layers that are quantised and adapted by name: all linear ones but the output layer."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not model.get_output_embeddings()
    }


def without_weights(configuration: PretrainedConfig) -> PreTrainedModel:
    """Return a model without memory for its weights, which takes 0.1 s for an 8B."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(configuration)
    return model


def require_targets(configuration: PretrainedConfig, lora: LoraSettings) -> None:
    """Refuse names of layers that the model does not have; it is built without weights.

    Raises:
        UsageError: a name matches no linear layer, or only the output layer, which scoring reads directly.
    """
    if lora.targets == ALL_LINEAR:
        return
    layers = linear_layers(without_weights(configuration))
    names = sorted({name.rpartition(".")[2] for name in layers})
    for target in lora.targets:
        # As PEFT matches a list of names.
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            raise UsageError(
                f"lora.targets: {configuration.model_type} has no layer '{target}' to adapt."
                f"{did_you_mean(target, names)} Its layers are {', '.join(names)}; all-linear adapts all."
            )


def add_adapters(model: PreTrainedModel, lora: LoraSettings) -> PreTrainedModel:
    """Add LoRA adapters to the layers that the settings name; `all-linear` leaves the output layer out."""
    from peft import LoraConfig, get_peft_model

    adapted: PreTrainedModel = get_peft_model(
        model,
        LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets[0] if lora.targets == ALL_LINEAR else list(lora.targets),
            use_rslora=lora.rank_stabilised,
            use_dora=lora.dora,
            task_type="CAUSAL_LM",
        ),
    )
    return adapted


def has_head(directory: Path) -> bool:
    """Return whether an adapter's directory has a classification head."""
    return (directory / HEAD_FILE).is_file()


def save_adapter(model: PreTrainedModel, base: ModelIdentity, directory: Path) -> None:
    """Save the adapter without the base model and without local paths: equal adapters are equal files."""
    model.peft_config[ADAPTER].base_model_name_or_path = base.name
    model.save_pretrained(str(directory), save_embedding_layers=False)
    (directory / "README.md").unlink(missing_ok=True)  # PEFT's empty model card


def copy_adapter(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the trainable weights by name, in the memory of the machine."""
    return {
        name: parameter.detach().to("cpu", copy=True)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def restore_adapter(model: torch.nn.Module, adapter: Mapping[str, torch.Tensor]) -> None:
    """Restore weights that `copy_adapter` copied; weights without a copy stay."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in adapter:
                parameter.copy_(adapter[name])


def train_adapters_in_fp32(model: torch.nn.Module) -> None:
    """Undo TRL's cast of the adapters to BF16: it rounds small updates away, and breaks the FP16 scaler."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
