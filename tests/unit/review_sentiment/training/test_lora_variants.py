"""Every variant of LoRA that a setting chooses is applied, trained and saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import get_scheduler

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.training.job import TrainingJob
from review_sentiment.training.qlora import finetune

PLAN = plan_compute("cpu", "fp32")
ALL_LAYERS = 14


@pytest.mark.parametrize(
    ("lora", "quantization", "layers", "written"),
    [
        ({"rank": 2}, "nf4", ALL_LAYERS, {"r": 2}),
        ({"rank": 32, "alpha": 8, "rank_stabilised": True}, "nf4", ALL_LAYERS, {"use_rslora": True}),
        ({"dora": True}, "nf4", ALL_LAYERS, {"use_dora": True}),
        ({"targets": ("q_proj", "v_proj")}, "nf4", 4, {"r": 16}),
        ({"dropout": 0.1}, "nf4", ALL_LAYERS, {"lora_dropout": 0.1}),
        ({}, "none", ALL_LAYERS, {"lora_alpha": 32}),
    ],
    ids=["rank", "rank_stabilised", "dora", "targets", "dropout", "unquantised"],
)
def test_a_variant_learns_and_says_what_it_is(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    tmp_path: Path,
    lora: dict[str, object],
    quantization: str,
    layers: int,
    written: dict[str, object],
) -> None:
    training = TrainingSettings(learning_rate=1e-2, batch_size=4, max_steps=15, epochs=9)
    base = replace(tiny_model, quantization=quantization)
    recipe = Recipe(base, PLAN, LoraSettings.model_validate(lora), training, 1)
    trained = finetune(TrainingJob(recipe, tiny_chats, tmp_path / "adapter"))
    assert len(trained.proof.layers) == layers
    assert trained.proof.last_loss < trained.proof.first_loss
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert written.items() <= config.items()


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
def test_the_learning_rate_follows_its_schedule(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, schedule: str
) -> None:
    training = TrainingSettings(
        learning_rate=1e-2, batch_size=4, max_steps=12, epochs=9, schedule=schedule, warmup_share=0.25
    )
    recipe = Recipe(tiny_model, PLAN, LoraSettings(), training, 1)
    curve = finetune(TrainingJob(recipe, tiny_chats, tmp_path / "adapter")).curve
    rates = [point["learning_rate"] for point in curve]
    theirs = get_scheduler(schedule, torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 1e-2), 3, 12)
    # Three steps warm up, the first of which learns; then it is the schedule of transformers.
    assert rates == pytest.approx(
        [0.25e-2, 0.5e-2, 0.75e-2] + [1e-2 * theirs.lr_lambdas[0](step) for step in range(3, 12)]
    )
