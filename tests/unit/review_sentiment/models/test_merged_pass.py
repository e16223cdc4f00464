"""The merged pass scores as the model does, in threads too."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from review_sentiment.config import LoraSettings, Precision
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import ComputePlan, plan_compute
from review_sentiment.models.loading import load_model
from review_sentiment.models.lora import add_adapters
from review_sentiment.models.merged_pass import can_merge, merged_pass_of, use_merged_pass
from review_sentiment.scoring.full_precision import computed_in_fp32
from review_sentiment.scoring.next_token import score_next_tokens
from tests.tiny import move_adapters

PLAN = plan_compute("cpu", "fp32")
CANDIDATES = [7, 70, 200]
BUDGET = 64


def adapted(base: ModelIdentity, lora: LoraSettings, plan: ComputePlan = PLAN) -> torch.nn.Module:
    torch.manual_seed(1)
    model = add_adapters(load_model(base, plan), lora)
    move_adapters(model, std=0.5)
    return model


def rows(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    lengths = torch.randint(3, 20, (count,), generator=generator).tolist()
    return [[5, 6, 7, *torch.randint(5, 250, (length,), generator=generator).tolist()] for length in lengths]


@pytest.mark.parametrize("quantization", ["nf4", "none"])
@pytest.mark.parametrize("cores", [1, 2, 3])
def test_scores_are_those_of_the_adapted_model(
    tiny_model: ModelIdentity, quantization: str, cores: int
) -> None:
    model = adapted(replace(tiny_model, quantization=quantization), LoraSettings(rank=4, alpha=8))
    expected, greedy = score_next_tokens(model, rows(40), CANDIDATES, PLAN, BUDGET)
    with torch.no_grad():
        base = score_next_tokens(load_model(tiny_model, PLAN), rows(40), CANDIDATES, PLAN, BUDGET)[0]
    assert abs(base - expected).max() > 0.1, "the adapter must matter"

    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        use_merged_pass(model, PLAN)
        found, found_greedy = score_next_tokens(model, rows(40), CANDIDATES, PLAN, BUDGET)
        assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)

    assert abs(found - expected).max() < 3e-5  # FP32 rounds log-probabilities near -10 to 1e-6
    assert (found_greedy == greedy).all()


@pytest.mark.parametrize(("precision", "shares"), [("fp32", [1, 2]), ("bf16", [])])
def test_a_single_batch_has_all_cores_if_that_does_not_change_its_sums(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch, precision: Precision, shares: list[int]
) -> None:
    plan = plan_compute("cpu", precision)
    model = adapted(tiny_model, LoraSettings(rank=4), plan)
    use_merged_pass(model, plan)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", found.append)
    score_next_tokens(model, rows(1), CANDIDATES, plan, BUDGET)
    assert found == shares
    score_next_tokens(model, rows(40), CANDIDATES, plan, BUDGET)
    assert found == [*shares, 1, 2]


def sums_are_even(dtype: torch.dtype) -> bool:
    """Return whether rows of a matrix product are the same for any number of them from 16 on, on one core."""
    x, w = torch.randn(200, 256, dtype=dtype), torch.randn(96, 256, dtype=dtype)
    whole = torch.nn.functional.linear(x, w)
    return all(torch.equal(torch.nn.functional.linear(x[:n], w), whole[:n]) for n in range(16, 200))


@pytest.mark.parametrize(
    ("merged", "scored"), [("fp32", "fp32"), ("bf16", "bf16"), ("bf16", "fp32")], ids=" in ".join
)
@pytest.mark.parametrize("cores", [1, 2])
def test_a_row_has_the_same_scores_in_any_batch(
    tiny_model: ModelIdentity, merged: Precision, scored: Precision, cores: int
) -> None:
    """In BF16, near ties are scored in FP32 too, without the merged pass."""
    plan, exact = plan_compute("cpu", merged), plan_compute("cpu", scored)
    if not sums_are_even(exact.dtype):
        pytest.skip("matrix products of this processor's library sum in an order that depends on the rows")
    model = adapted(tiny_model, LoraSettings(rank=4, alpha=8), plan)
    use_merged_pass(model, plan)
    many = rows(40)
    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        with computed_in_fp32(model) if scored != merged else nullcontext():
            expected, _ = score_next_tokens(model, many, CANDIDATES, exact, 10_000)
            for size in (1, 3, 17):
                parts = [many[start : start + size] for start in range(0, len(many), size)]
                found = [score_next_tokens(model, part, CANDIDATES, exact, BUDGET)[0] for part in parts]
                assert (np.concatenate(found) == expected).all()
    finally:
        torch.set_num_threads(before)


def test_merging_in_bf16_rounds_as_much_as_bf16_does_without(tiny_model: ModelIdentity) -> None:
    plan = plan_compute("cpu", "bf16")
    model = adapted(tiny_model, LoraSettings(rank=4, alpha=8), plan)
    with computed_in_fp32(model):
        exact, _ = score_next_tokens(model, rows(40), CANDIDATES, PLAN, BUDGET)
    apart, _ = score_next_tokens(model, rows(40), CANDIDATES, plan, BUDGET)
    use_merged_pass(model, plan)
    merged, _ = score_next_tokens(model, rows(40), CANDIDATES, plan, BUDGET)
    assert 0 < abs(merged - exact).mean() < 1.5 * abs(apart - exact).mean()


def test_a_pass_of_another_precision_is_not_used(tiny_model: ModelIdentity) -> None:
    model = adapted(tiny_model, LoraSettings(rank=4))
    merged = use_merged_pass(model, replace(PLAN, precision="bf16"))
    assert merged_pass_of(model, PLAN) is None
    assert merged_pass_of(model, replace(PLAN, precision="bf16")) is merged


def test_what_the_pass_does_not_compute_is_not_merged(tiny_model: ModelIdentity) -> None:
    assert can_merge(adapted(tiny_model, LoraSettings(rank=4)))
    assert not can_merge(adapted(tiny_model, LoraSettings(rank=4, dora=True)))
