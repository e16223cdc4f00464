"""The fused LoRA layers compute what PEFT's layers compute."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from review_sentiment.config import LoraSettings
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.fused_lora import PIECE_ROWS, SLOW_ROWS, fuse_adapters, product
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters

PROJECTIONS = 2 * 7
"""Linear layers of the tiny model: q, k, v, o, gate, up and down in two blocks."""


def adapted(base: ModelIdentity, lora: LoraSettings) -> torch.nn.Module:
    torch.manual_seed(1)
    model = add_adapters(load_model(base, plan_compute(device="cpu", precision="fp32")), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
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


def test_layers_with_dropout_keep_pefts_forward(tiny_model: ModelIdentity) -> None:
    assert fuse_adapters(adapted(tiny_model, LoraSettings(rank=4, dropout=0.1))) == 0


def test_a_disabled_adapter_gives_the_base_models_answers(tiny_model: ModelIdentity) -> None:
    model = adapted(tiny_model, LoraSettings(rank=4))
    fuse_adapters(model)
    ids = torch.randint(5, 250, (2, 9))
    plain = load_model(tiny_model, plan_compute(device="cpu", precision="fp32"))
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
