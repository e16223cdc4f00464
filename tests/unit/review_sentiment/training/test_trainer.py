"""The loss and the gradients of a micro-batch are those of plain transformers and PEFT, for every family."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import PreTrainedModel

from review_sentiment.config import LoraSettings
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.fused_lora import fuse_adapters
from review_sentiment.models.lean_layers import lighten
from review_sentiment.models.lora import add_adapters
from review_sentiment.models.packed_attention import can_pack, use_packed_attention
from review_sentiment.training import answer_logits
from review_sentiment.training.rows import IGNORED, collate
from tests.families import FAMILIES, random_model
from tests.tiny import move_adapters

EXPERTS = {"mixtral"}
"""Families that can be scored but not trained."""
ROWS = [
    [5, 6, 7, 8, 9, 10, 11, 40, 41, 17, 2],
    [5, 6, 7, 8, 9, 10, 11, 90, 91, 92, 93, 94, 95, 96, 250, 2],
    [5, 6, 7, 8, 9, 10, 11, 60, 17, 2],
]
ANSWER_TOKENS = 2


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in EXPERTS])
def test_loss_and_gradients_are_those_of_one_row_at_a_time(family: str) -> None:
    plain = add_adapters(random_model(family).requires_grad_(False), LoraSettings(rank=4, alpha=8))
    move_adapters(plain)
    ours = copy.deepcopy(plain)
    fuse_adapters(ours)
    lighten(ours)
    packs_rows = can_pack(ours.config)
    if packs_rows:
        use_packed_attention(ours, plan_compute("cpu", "fp32"))

    loss = sum(_row_loss(plain, ids) for ids in ROWS)
    assert isinstance(loss, torch.Tensor)
    batch = collate([_row(number, ids) for number, ids in enumerate(ROWS)])
    logits_at_answers = answer_logits.packed_logits if packs_rows else answer_logits.padded_logits
    logits, targets, _ = logits_at_answers(ours, batch)
    own = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(own, loss, rtol=1e-5, atol=1e-5)

    loss.backward()
    own.backward()
    expected = {name: p.grad for name, p in plain.named_parameters() if p.requires_grad}
    found = {name: p.grad for name, p in ours.named_parameters() if p.requires_grad}
    assert len(expected) >= 8
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def _row(number: int, ids: list[int]) -> dict[str, object]:
    labels = [IGNORED] * (len(ids) - ANSWER_TOKENS) + ids[-ANSWER_TOKENS:]
    return {"input_ids": ids, "labels": labels, "row": number}


def _row_loss(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    answer = torch.tensor(ids[-ANSWER_TOKENS:])
    before = slice(-ANSWER_TOKENS - 1, -1)
    return torch.nn.functional.cross_entropy(logits[before], answer, reduction="sum")
