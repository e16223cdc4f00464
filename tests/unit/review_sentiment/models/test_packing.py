"""Packed rows compute what padded rows compute, forward and backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.packing import (
    TOKENS_MULTIPLE,
    can_pack,
    pack,
    shared_prefix,
    use_packed_attention,
)

PLAN = plan_compute("cpu", "fp32")


@pytest.fixture(scope="module")
def models(tiny_model: ModelIdentity) -> tuple[torch.nn.Module, torch.nn.Module]:
    plain = ModelIdentity(tiny_model.name, None, "none", "tiny")
    padded, packed = load_model(plain, PLAN), load_model(plain, PLAN)
    assert can_pack(packed)
    use_packed_attention(packed)
    return padded, packed


ROWS = st.integers(0, 9).flatmap(
    lambda prefix: st.lists(
        st.lists(st.integers(5, 200), min_size=1, max_size=12).map(
            lambda own: list(range(20, 20 + prefix)) + own
        ),
        min_size=1,
        max_size=9,
    )
)


@hypothesis_settings(max_examples=30, deadline=None)
@given(rows=ROWS, fewer=st.integers(0, 3))
def test_packed_rows_have_the_hidden_states_and_gradients_of_padded_rows(
    models: tuple[torch.nn.Module, torch.nn.Module], rows: list[list[int]], fewer: int
) -> None:
    padded, packed = models
    most = max(0, min(len(row) for row in rows) - 1 - fewer)
    batch = pack(rows, most)
    assert batch.rows.prefix == shared_prefix(rows, most) <= most
    assert batch.rows.tokens == batch.rows.prefix + sum(len(row) - batch.rows.prefix for row in rows)
    assert 0 <= batch.input_ids.shape[1] - batch.rows.tokens < TOKENS_MULTIPLE

    def gradients(model: torch.nn.Module, logits: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.stack([row.logsumexp(-1) for row in logits]).square().mean().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    one_by_one = [padded(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1] for row in rows]
    last = batch.rows.places(torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows]))
    together = packed(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        packed_rows=batch.rows,
        logits_to_keep=last,
        use_cache=False,
    ).logits[0]
    torch.testing.assert_close(together, torch.stack(one_by_one), rtol=1e-4, atol=1e-5)
    expected, found = gradients(padded, one_by_one), gradients(packed, list(together))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
