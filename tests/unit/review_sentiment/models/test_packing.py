"""Packed rows compute what padded rows compute, forward and backward, with either kernel."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from review_sentiment.config import LoraSettings
from review_sentiment.models import varlen_attention
from review_sentiment.models.compute import ComputePlan, gpu_plan, plan_compute
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.lora import add_adapters
from review_sentiment.models.packed_attention import KERNELS, can_pack, use_packed_attention
from review_sentiment.models.packing import TOKENS_MULTIPLE, PackedRows, pack, shared_prefix
from review_sentiment.scoring.next_token import score_next_tokens
from review_sentiment.training.answer_logits import IGNORED, packed_logits, padded_logits
from review_sentiment.training.rows import collate
from tests.families import COMMON, random_model
from tests.tiny import move_adapters

PLAN = plan_compute("cpu", "fp32")
KEY_HEADS = (1, 2, 4)
"""Of four heads: groups of four, of two, and none."""
MOST_ANSWERS = 3


@contextmanager
def chosen(kernel: str) -> Iterator[None]:
    """Make every plan choose a kernel; on a CPU, that of GPUs is its reference."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ComputePlan, "packed_attention", (kernel, "a test wants it"))
        yield


@cache
def adapted(key_heads: int) -> PreTrainedModel:
    """Return a tiny Llama whose LoRA layers all do something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COMMON, "num_key_value_heads", key_heads)
        model = add_adapters(random_model("llama").requires_grad_(False), LoraSettings(rank=4, alpha=8))
    move_adapters(model)
    return model


@cache
def adapted_and_fused(key_heads: int) -> PreTrainedModel:
    """Return the same model with our layers."""
    model = copy.deepcopy(adapted(key_heads))
    fuse_adapters(model)
    lighten(model)
    return model


ROWS = st.integers(0, 40).flatmap(
    lambda prefix: st.lists(
        st.lists(st.integers(5, 200), min_size=2, max_size=30).map(
            lambda own: list(range(20, 20 + prefix)) + own
        ),
        min_size=1,
        max_size=19,
    )
)


@pytest.mark.parametrize("kernel", KERNELS)
@hypothesis_settings(max_examples=15)
@given(rows=ROWS, key_heads=st.sampled_from(KEY_HEADS), answers=st.integers(1, MOST_ANSWERS))
def test_packed_rows_have_the_loss_and_the_gradients_of_padded_rows(
    kernel: str, rows: list[list[int]], key_heads: int, answers: int
) -> None:
    batch = collate([labelled(number, ids, answers) for number, ids in enumerate(rows)])
    ours, plain = adapted_and_fused(key_heads), adapted(key_heads)
    with chosen(kernel):
        use_packed_attention(ours, PLAN)
    loss, found = gradients(ours, *packed_logits(ours, batch)[:2])
    expected_loss, expected = gradients(plain, *padded_logits(plain, batch)[:2])
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 1 - 1e-6


def labelled(number: int, ids: list[int], answers: int) -> dict[str, object]:
    """Return a row with up to so many answer tokens: some rows of a batch have fewer than others."""
    count = min(1 + number % answers, len(ids) - 1)
    return {"input_ids": ids, "labels": [IGNORED] * (len(ids) - count) + ids[-count:], "row": number}


def gradients(
    model: torch.nn.Module, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[float, torch.Tensor]:
    """Return the loss, and all LoRA gradients as one vector in FP64."""
    model.zero_grad()
    loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    loss.backward()
    found = [p.grad.double().flatten() for p in model.parameters() if p.grad is not None]
    assert len(found) == 2 * 2 * 7
    return loss.item(), torch.cat(found)


@pytest.mark.parametrize("kernel", KERNELS)
@hypothesis_settings(max_examples=15)
@given(rows=ROWS, key_heads=st.sampled_from(KEY_HEADS), budget=st.integers(1, 900))
def test_packed_rows_have_the_scores_of_padded_rows(
    kernel: str, rows: list[list[int]], key_heads: int, budget: int
) -> None:
    candidates = [7, 70, 270]
    with chosen(kernel):
        packed = score_next_tokens(adapted_and_fused(key_heads), rows, candidates, PLAN, budget)
    unpacked = PLAN.without(("packing",), "a test")
    padded = score_next_tokens(adapted(key_heads), rows, candidates, unpacked, budget)
    np.testing.assert_allclose(np.exp(packed[0]), np.exp(padded[0]), atol=1e-5)
    np.testing.assert_array_equal(packed[1], padded[1])


@hypothesis_settings(max_examples=30)
@given(rows=ROWS, fewer=st.integers(0, 3))
def test_a_packed_batch_holds_the_prefix_once_and_every_row(rows: list[list[int]], fewer: int) -> None:
    most = max(0, min(len(row) for row in rows) - 1 - fewer)
    batch = pack(rows, most)
    prefix = batch.rows.prefix
    assert prefix == shared_prefix(rows, most) <= most
    assert batch.rows.tokens == prefix + sum(len(row) - prefix for row in rows)
    assert 0 <= batch.input_ids.shape[1] - batch.rows.tokens < TOKENS_MULTIPLE
    for number, row in enumerate(rows):
        own = torch.arange(prefix, len(row))
        places = batch.rows.places(torch.full_like(own, number), own)
        assert batch.input_ids[0, places].tolist() == row[prefix:]
        assert batch.position_ids[0, places].tolist() == own.tolist()


def test_only_plain_causal_attention_is_packed() -> None:
    config = adapted(2).config
    assert can_pack(config)
    for changed in ({"attention_dropout": 0.1}, {"use_sliding_window": True}, {"model_type": "gemma2"}):
        assert not can_pack(type("", (), config.to_dict() | changed))


@pytest.mark.parametrize(
    ("capability", "precision", "expected"),
    [
        ((8, 0), "bf16", "varlen"),
        ((12, 0), "fp16", "varlen"),
        ((9, 0), "fp32", "blocks"),
        ((7, 5), "fp16", "blocks"),
    ],
)
def test_a_gpu_gets_the_kernel_that_it_and_the_precision_allow(
    capability: tuple[int, int], precision: str, expected: str
) -> None:
    choice, why = replace(gpu_plan(precision), capability=capability).packed_attention
    assert choice == expected
    assert "FlashAttention" in why


@pytest.mark.parametrize(
    ("version", "expected"), [("2.10.0+cu128", "blocks"), ("2.11.0+cu130", "varlen"), ("3.0.0a1", "varlen")]
)
def test_an_older_torch_gets_the_kernel_that_it_has(
    version: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    choice, why = replace(gpu_plan("bf16"), capability=(9, 0)).packed_attention
    assert choice == expected
    assert expected == "varlen" or "needs torch 2.11 or newer" in why


def test_in_torch_2_11_queries_that_share_keys_get_copies_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = PackedRows(3, (4, 2))
    states = [torch.randn(12, heads, 8, requires_grad=True) for heads in (6, 2, 2)]

    def found() -> list[torch.Tensor]:
        output = varlen_attention.attend_by_length(*states, rows, 0.3)
        return [output, *torch.autograd.grad(output[: rows.tokens].square().sum(), states)]

    def as_in_2_11(
        query: torch.Tensor, key: torch.Tensor, *others: Any, scale: float, window_size: Any
    ) -> Any:
        return reference(query, key, *others, scale=scale, window_size=window_size)

    expected, reference = found(), varlen_attention.varlen_reference
    monkeypatch.setattr(varlen_attention, "varlen_reference", as_in_2_11)
    for own, shared in zip(found(), expected, strict=True):
        torch.testing.assert_close(own, shared)


@pytest.mark.parametrize(
    "broken",
    [
        {"enable_gqa": False},
        {"window_size": (4, 0)},
        {"max_k": 2},
        {"cu_seq_q": torch.tensor([0, 3])},
        {"key": torch.zeros(3, 3, 8)},
    ],
)
def test_the_reference_refuses_what_flash_attention_would(broken: dict[str, object]) -> None:
    starts = torch.tensor([0, 3], dtype=torch.int32)
    states = torch.zeros(3, 2, 8)
    good = {"query": torch.zeros(3, 4, 8), "key": states, "value": states, "max_q": 3, "max_k": 3}
    good |= {"cu_seq_q": starts, "cu_seq_k": starts, "scale": 1.0, "enable_gqa": True}
    assert varlen_attention.varlen_reference(**good).shape == (3, 4, 8)
    with pytest.raises(ValueError, match=r"heads|starts|queries"):
        varlen_attention.varlen_reference(**good | broken)
