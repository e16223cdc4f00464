"""The lean layers compute what the layers of transformers compute, with less kept for the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from review_sentiment.config import LoraSettings
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters
from tests.tiny import move_adapters

MODULES = 2 * (2 + 1 + 1) + 1
"""Of the tiny model: two norms, a gated layer and an attention in each of two blocks, and the last norm."""


def norm() -> torch.nn.Module:
    torch.manual_seed(1)
    layer = LlamaRMSNorm(32, eps=1e-5)
    torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
    return layer.requires_grad_(False)


def gate() -> torch.nn.Module:
    torch.manual_seed(1)
    return LlamaMLP(LlamaConfig(hidden_size=32, intermediate_size=48)).requires_grad_(False)


@pytest.mark.parametrize("make", [norm, gate])
def test_a_layer_and_its_derivative_are_unchanged(make: Callable[[], torch.nn.Module]) -> None:
    layer = make()
    torch.manual_seed(2)
    x = torch.randn(5, 32, requires_grad=True)
    direction = torch.randn(5, 32)
    expected = layer(x)
    (expected_gradient,) = torch.autograd.grad(expected, x, direction)

    assert lighten(layer) == 1
    lean = layer(x)
    (gradient,) = torch.autograd.grad(lean, x, direction)

    torch.testing.assert_close(lean, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def kept_for_backward(layer: torch.nn.Module) -> int:
    """Return the bytes that a forward pass over [64, 32] keeps."""
    storages: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = layer(torch.randn(64, 32, dtype=torch.bfloat16, requires_grad=True))
    assert output.requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("make", [norm, gate])
def test_a_lean_layer_keeps_less_for_the_backward_pass(make: Callable[[], torch.nn.Module]) -> None:
    layer = make().to(torch.bfloat16)
    plain = kept_for_backward(layer)
    lighten(layer)
    assert kept_for_backward(layer) < 0.8 * plain


def test_a_gated_layer_with_lora_does_not_keep_the_input_of_its_last_product() -> None:
    model: Any = get_peft_model(
        torch.nn.Sequential(gate()), LoraConfig(r=2, target_modules=["gate_proj", "up_proj", "down_proj"])
    )
    layer = model.base_model.model[0].to(torch.bfloat16)
    fuse_adapters(layer)
    fused = kept_for_backward(layer)
    lighten(layer)
    gated_bytes = 64 * 48 * 2
    # Besides that input, the result of the activation.
    assert fused - kept_for_backward(layer) >= 2 * gated_bytes


def test_the_whole_model_answers_and_learns_as_before(tiny_model: ModelIdentity) -> None:
    torch.manual_seed(3)
    model: Any = add_adapters(load_model(tiny_model, plan_compute("cpu", "fp32")), LoraSettings(rank=4))
    move_adapters(model)
    ids = torch.randint(5, 250, (3, 11))

    def outcome() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        logits = model(input_ids=ids).logits
        logits.pow(2).mean().backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]

    expected, expected_gradients = outcome()
    assert lighten(model) == MODULES
    logits, gradients = outcome()

    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=2e-5)
    assert len(gradients) == len(expected_gradients) > 0
    for lean, plain in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(lean, plain, rtol=1e-3, atol=1e-6)


def test_a_norm_that_is_trained_keeps_its_own_forward() -> None:
    assert lighten(LlamaRMSNorm(32)) == 0
