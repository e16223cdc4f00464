"""LoRA adapters: put on a model, saved, and everything that must travel with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.answers import KeptAnswers
from review_sentiment.lora_proof import ADAPTER, LoraProof
from review_sentiment.models import BaseModel

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from review_sentiment.config import LoraSettings


@dataclass(frozen=True)
class TrainingSummary:
    """Figures of a finished training.

    `tokens` counts real tokens, `computed_tokens` those that went through the model:
    padding adds to them, a prompt's shared beginning is computed once; `peak_memory_gb` is the GPU's
    or, on a CPU, the whole process's, in units of 1e9 bytes; `expected_memory_gb` was foretold.
    """

    reviews: int
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    computed_tokens: int
    trainable_parameters: int
    peak_memory_gb: float
    expected_memory_gb: float


@dataclass(frozen=True)
class TrainedAdapter:
    """The adapter's files, the model they belong to, and the MLflow run of the candidate.

    `compute` and `settings` are shown to people; `max_tokens` is needed to build
    prompts as in training. `checkpoints` is the address of those of its training,
    which are of no use once the adapter has been saved. `validation` are its answers to validation reviews,
    None where it was not validated.
    """

    directory: Path
    base: BaseModel
    run_id: str
    proof: LoraProof
    summary: TrainingSummary
    max_tokens: int
    compute: dict[str, str]
    settings: dict[str, str]
    checkpoints: str
    validation: KeptAnswers | None


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


def save_adapter(model: PreTrainedModel, base: BaseModel, directory: Path) -> None:
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
