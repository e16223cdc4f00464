"""A training step and scoring keep to the GPU: no tensors of two devices meet, and the host waits rarely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan, gpu_plan, plan_compute
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters, train_adapters_in_fp32
from review_sentiment.models.merged_pass import use_merged_pass
from review_sentiment.models.packed_attention import use_packed_attention
from review_sentiment.models.recipe import Recipe
from review_sentiment.scoring.next_token import score_next_tokens
from review_sentiment.training.arguments import trainer_arguments
from review_sentiment.training.rows import IGNORED, collate, tokenise
from review_sentiment.training.trainer import AnswerTrainer
from tests.stand_in_gpu import GPU, StandInGpu, put_there
from tests.tiny import move_adapters

CPU = plan_compute("cpu", "fp32")
PLANS = {
    "flash attention": (gpu_plan("bf16"), 0.02),
    "a T4": (gpu_plan("fp16"), 2e-3),
    "fp32": (gpu_plan("fp32"), 1e-6),
    "padded": (gpu_plan("fp32").without(("packing",), "a test"), 1e-5),
}
"""Plans for a GPU, and how far their precision may be from FP32."""


@pytest.fixture(params=PLANS)
def gpu(request: pytest.FixtureRequest) -> tuple[ComputePlan, float]:
    return PLANS[request.param]


def adapted(base: ModelIdentity, plan: ComputePlan) -> PreTrainedModel:
    """Return the model with adapters that do something, in the precision of the plan, on the host."""
    torch.manual_seed(0)
    model = load_model(replace(base, quantization="none"), CPU).to(plan.dtype)
    model = add_adapters(model, LoraSettings(rank=4, alpha=8))
    move_adapters(model, std=0.02)
    fuse_adapters(model)
    lighten(model)
    return model


def test_a_training_step_on_a_gpu_has_the_loss_and_gradients_of_the_cpu(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, tmp_path: Path, gpu: tuple[ComputePlan, float]
) -> None:
    plan, rounding = gpu
    tokenizer = load_tokenizer(tiny_model)
    rows = tokenise(tiny_chats, tokenizer)
    batch = collate([rows[number] for number in range(8)])
    answers = (batch["labels"] != IGNORED).sum()

    def step(of: ComputePlan) -> tuple[float, torch.Tensor]:
        model = adapted(tiny_model, of)
        if of.packs_rows:
            use_packed_attention(model, of)
        training = TrainingSettings(batch_size=8)
        trainer = AnswerTrainer(
            model=model,
            args=trainer_arguments(Recipe(tiny_model, CPU, LoraSettings(), training, 1), tmp_path),
            token_budget=400,
            packs_rows=of.packs_rows,
            balance="undersample",
            train_dataset=rows,
            processing_class=tokenizer,
        )
        train_adapters_in_fp32(model)
        if of.device == "cpu":
            loss = trainer.training_step(model, dict(batch), answers)
        else:
            put_there(model)
            trainer.args.__dict__["_setup_devices"] = GPU
            with StandInGpu() as there:
                loss = trainer.training_step(
                    model, {name: values.to("cuda") for name, values in batch.items()}, answers.to("cuda")
                )
            # The batch is read before the step, and its loss after it. Micro-batches and layers do not wait,
            # except that transformers looks for packed rows in each of the two padded micro-batches.
            reads = 1 if of.packs_rows else 3
            assert there.waits == ["cpu"] * 4 + ["aten._local_scalar_dense.default"] * reads + ["tolist"]
        return float(loss), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    loss, found = step(plan)
    expected_loss, expected = step(CPU)
    assert loss == pytest.approx(expected_loss, rel=rounding)
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 1 - rounding


@pytest.mark.parametrize("merges", [False, True])
def test_scores_on_a_gpu_are_those_of_the_cpu(
    tiny_model: ModelIdentity, tiny_chats: ChatDataset, gpu: tuple[ComputePlan, float], merges: bool
) -> None:
    plan, rounding = gpu
    tokenizer = load_tokenizer(tiny_model)
    rows = [tokenizer.encode(prompt) for prompt in tiny_chats.frame["prompt"].head(12)]
    candidates = [7, 70, 270]
    expected, greedy = score_next_tokens(adapted(tiny_model, CPU), rows, candidates, CPU, 500)
    model = put_there(adapted(tiny_model, plan))
    with StandInGpu() as there:
        if merges:
            use_merged_pass(model, plan)
            there.waits.clear()
        scores, answers = score_next_tokens(model, rows, candidates, plan, 500)
    assert there.waits == ["cpu"], "one transfer for all batches"
    np.testing.assert_allclose(np.exp(scores), np.exp(expected), atol=rounding)
    assert (answers == greedy).mean() > 1 - rounding
