"""The fused LoRA layers compute what PEFT's layers compute."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from review_sentiment.config import LoraSettings
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan, plan_compute
from review_sentiment.models.fused_lora import PIECE_ROWS, SLOW_ROWS, fuse_adapters, product
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters, train_adapters_in_fp32
from review_sentiment.scoring.scored_model import require_plain_scores
from tests.tiny import move_adapters

PROJECTIONS = 2 * 7
"""Linear layers of the tiny model: q, k, v, o, gate, up and down in two blocks."""


PLAN = plan_compute(device="cpu", precision="fp32")


def adapted(base: ModelIdentity, lora: LoraSettings, plan: ComputePlan = PLAN) -> torch.nn.Module:
    torch.manual_seed(1)
    model = add_adapters(load_model(base, plan), lora)
    move_adapters(model)
    return model


def outputs_and_gradients(model: torch.nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(2)
    ids = torch.randint(5, 250, (3, 11))
    model.zero_grad()
    logits = model(input_ids=ids).logits
    logits.pow(2).mean().backward()
    gradients = {
        n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad and p.grad is not None
    }
    return logits.detach(), gradients


@pytest.mark.parametrize("kept_dtype", [None, torch.float32])
@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_logits_and_gradients_are_those_of_peft(
    tiny_model: ModelIdentity, quantization: str, kept_dtype: torch.dtype | None
) -> None:
    model = adapted(replace(tiny_model, quantization=quantization), LoraSettings(rank=4, alpha=8))
    expected, expected_gradients = outputs_and_gradients(model)

    assert fuse_adapters(model, kept_dtype) == PROJECTIONS
    logits, gradients = outputs_and_gradients(model)

    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    assert len(gradients) == 2 * PROJECTIONS
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-4, atol=1e-8, msg=name)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("keeps_weights", [True, False])
def test_gradients_in_mixed_precision_are_those_of_peft(
    tiny_model: ModelIdentity, precision: str, keeps_weights: bool
) -> None:
    """As a GPU trains: FP32 adapters, all products in half precision, a scaled loss."""
    plan = replace(PLAN, precision=precision)

    def gradient() -> torch.Tensor:
        torch.manual_seed(2)
        model.zero_grad()
        with plan.autocast():
            logits = model(input_ids=torch.randint(5, 250, (3, 11))).logits
        (4096 * logits.float().pow(2).mean()).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    model = adapted(tiny_model, LoraSettings(rank=4, alpha=8), plan)
    train_adapters_in_fp32(model)
    expected = gradient()
    assert fuse_adapters(model, plan.dtype if keeps_weights else None) == PROJECTIONS
    lighten(model)
    found = gradient()
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.999
    torch.testing.assert_close(found.norm(), expected.norm(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("keeps_weights", [True, False])
def test_near_ties_are_scored_with_fp32_weights(tiny_model: ModelIdentity, keeps_weights: bool) -> None:
    """The layers of PEFT dequantise to FP32 in an FP32 product. Weights rounded to BF16 differ by 0.007."""
    plan = replace(PLAN, precision="bf16")
    model = adapted(tiny_model, LoraSettings(rank=4, alpha=8), plan).eval()
    fuse_adapters(model, plan.dtype if keeps_weights else None)
    require_plain_scores(model, plan)


def test_layers_with_dropout_keep_pefts_forward(tiny_model: ModelIdentity) -> None:
    assert fuse_adapters(adapted(tiny_model, LoraSettings(rank=4, dropout=0.1))) == 0


def test_a_disabled_adapter_gives_the_base_models_answers(tiny_model: ModelIdentity) -> None:
    model = adapted(tiny_model, LoraSettings(rank=4))
    fuse_adapters(model)
    ids = torch.randint(5, 250, (2, 9))
    plain = load_model(tiny_model, PLAN)
    with torch.no_grad(), model.disable_adapter():
        disabled = model(input_ids=ids).logits
    with torch.no_grad():
        torch.testing.assert_close(disabled, plain(input_ids=ids).logits)
        assert not torch.allclose(model(input_ids=ids).logits, disabled)


@pytest.mark.parametrize("rows", [1, PIECE_ROWS, SLOW_ROWS[0], SLOW_ROWS[-1], SLOW_ROWS.stop])
def test_a_product_in_pieces_is_the_product(rows: int) -> None:
    torch.manual_seed(1)
    x, weight = torch.randn(rows, 24), torch.randn(8, 24).t()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # one thread has no use for pieces
    try:
        torch.testing.assert_close(product(x, weight), x @ weight)
    finally:
        torch.set_num_threads(threads)
