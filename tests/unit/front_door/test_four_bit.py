"""`doctor` trains a 4-bit layer as a run does, and finds a library that computes nothing or nonsense."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from front_door.doctor import four_bit
from review_sentiment.models import fused_lora


def test_a_step_is_made_as_a_run_makes_it() -> None:
    found = four_bit.train_a_4bit_layer("cpu")
    assert found.startswith("forward, backward and adamw_torch_fused in ")


def test_wrong_products_and_lost_gradients_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = fused_lora.LoraProduct.forward
    with monkeypatch.context() as patch:
        patch.setattr(fused_lora.LoraProduct, "forward", lambda *args: right(*args) * 1.1)
        with pytest.raises(RuntimeError, match=r"relative error of 0\.1"):
            four_bit.train_a_4bit_layer("cpu")

    def lost(_self: Any, gradient: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.zeros_like(x), x.new_zeros(16, x.shape[1]), x.new_zeros(gradient.shape[1], 16)

    monkeypatch.setattr(fused_lora.LoraProduct, "backward", lost)
    with pytest.raises(RuntimeError, match="does not learn"):
        four_bit.train_a_4bit_layer("cpu")
