"""Near ties are decided in FP32, by the very weights that the model has."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit

from review_sentiment.config import LoraSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan, plan_compute
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.loading import load_model, load_tokenizer
from review_sentiment.models.lora import add_adapters, train_adapters_in_fp32
from review_sentiment.scoring import label_scoring
from review_sentiment.scoring.full_precision import computed_in_fp32
from review_sentiment.scoring.label_scoring import Scores, score_labels


@pytest.fixture(scope="module")
def plan() -> ComputePlan:
    return plan_compute("cpu", "bf16")


@pytest.fixture(scope="module")
def model(tiny_model: ModelIdentity, plan: ComputePlan) -> torch.nn.Module:
    return load_model(tiny_model, plan).eval()


def in_plain_fp32(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model with FP32 weights and without 4-bit layers: what these hold, as plain layers."""
    twin = copy.deepcopy(model)
    for name, layer in list(twin.named_modules()):
        if isinstance(layer, Linear4bit):
            state = copy.deepcopy(layer.weight.quant_state)
            state.dtype = torch.float32  # as bitsandbytes dequantises for FP32 inputs
            plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False)
            plain.weight.data = dequantize_4bit(layer.weight.data, state)
            parent, _, own = name.rpartition(".")
            setattr(twin.get_submodule(parent), own, plain)
    return torch.nn.Module.float(twin)  # that of transformers refuses 4-bit models, which this is no longer


def scored(model: torch.nn.Module, chats: ChatDataset, base: ModelIdentity, plan: ComputePlan) -> Scores:
    return score_labels(model, load_tokenizer(base), list(chats.frame["prompt"]), chats.labels, plan, 2_048)


def test_near_ties_get_their_fp32_scores(
    model: torch.nn.Module,
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    plan: ComputePlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = scored(in_plain_fp32(model), tiny_chats, tiny_model, replace(plan, precision="fp32"))
    monkeypatch.setattr(label_scoring, "NEAR_TIE", 0.0)
    rounded = scored(model, tiny_chats, tiny_model, plan)
    limit = float(np.median(expected.margin))
    monkeypatch.setattr(label_scoring, "NEAR_TIE", limit)
    settled = scored(model, tiny_chats, tiny_model, plan)
    near = rounded.margin < limit
    assert 0 < near.sum() < len(near)
    np.testing.assert_allclose(settled.label_log_probs[near], expected.label_log_probs[near], atol=2e-4)
    np.testing.assert_array_equal(settled.label_log_probs[~near], rounded.label_log_probs[~near])
    assert np.abs(rounded.label_log_probs[near] - expected.label_log_probs[near]).max() > 2e-3
    np.testing.assert_array_equal(settled.constrained[near], expected.constrained[near])


def test_a_model_in_training_answers_as_it_does_alone(
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    plan: ComputePlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(label_scoring, "NEAR_TIE", 100.0)
    trained = add_adapters(load_model(tiny_model, plan), LoraSettings(rank=4, alpha=8))
    fuse_adapters(trained, plan.dtype)
    train_adapters_in_fp32(trained)
    alone = scored(trained, tiny_chats, tiny_model, plan)
    AcceleratorState._reset_state(reset_partial_state=True)  # that of trainings in other precisions
    prepared = Accelerator(mixed_precision="bf16", cpu=True).prepare_model(trained)
    np.testing.assert_allclose(
        scored(prepared, tiny_chats, tiny_model, plan).label_log_probs, alone.label_log_probs, atol=1e-5
    )
    ids = torch.ones(1, 3, dtype=torch.long)
    with torch.no_grad():
        # The forward of accelerate is back: it widens what the model returns.
        assert prepared(input_ids=ids).logits.dtype == torch.float32
    AcceleratorState._reset_state(reset_partial_state=True)


def test_without_room_they_keep_their_scores_and_a_log_line_says_so(
    model: torch.nn.Module,
    tiny_model: ModelIdentity,
    tiny_chats: ChatDataset,
    plan: ComputePlan,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(label_scoring, "NEAR_TIE", 0.0)
    rounded = scored(model, tiny_chats, tiny_model, plan)
    monkeypatch.setattr(label_scoring, "NEAR_TIE", 100.0)
    monkeypatch.setattr(label_scoring, "room_for_fp32", lambda *_: False)
    with caplog.at_level("INFO", "review_sentiment"):
        left = scored(model, tiny_chats, tiny_model, plan)
    np.testing.assert_array_equal(left.label_log_probs, rounded.label_log_probs)
    assert "48 near ties keep their bf16 scores" in caplog.text


def test_the_model_is_restored_after_an_error(model: torch.nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layer = next(module for module in model.modules() if isinstance(module, Linear4bit))

    def fail_midway() -> None:
        with computed_in_fp32(model):
            assert layer.compute_dtype == torch.float32
            assert {tensor.dtype for tensor in model.parameters()} == {torch.float32, torch.uint8}
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail_midway()
    assert layer.compute_dtype == torch.bfloat16
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) and tensor.dtype == after[name].dtype
               for name, tensor in before.items())  # fmt: skip
