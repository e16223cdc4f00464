"""The merged pass scores as the model does, in threads too."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from review_sentiment.config import LoraSettings
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


def test_a_single_batch_has_all_cores(tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(tiny_model, LoraSettings(rank=4))
    use_merged_pass(model, PLAN)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    shares: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", shares.append)
    score_next_tokens(model, rows(1), CANDIDATES, PLAN, BUDGET)
    assert shares == []
    score_next_tokens(model, rows(40), CANDIDATES, PLAN, BUDGET)
    assert shares == [1, 2]


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
