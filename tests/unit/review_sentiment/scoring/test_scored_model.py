"""Scores of every family that we accept are those of plain transformers; others are refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models import merged_pass
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.merged_pass import merged_pass_of
from review_sentiment.models.packed_attention import MODEL_TYPES
from review_sentiment.scoring import scored_model
from review_sentiment.scoring.scored_model import merge_if_it_fits, require_plain_scores
from tests.families import FAMILIES, random_model

PLAN = plan_compute("cpu", "fp32")
ROUNDING = 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_plain_transformers(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scored_model.TOLERANCE, "fp32", ROUNDING)
    model = random_model(family)
    require_plain_scores(model, PLAN)
    require_plain_scores(model.bfloat16(), replace(PLAN, precision="bf16"))  # compared in FP32 as well


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_scores_are_those_of_plain_transformers(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scored_model.TOLERANCE, "fp32", ROUNDING)
    model = random_model(family)
    merge_if_it_fits(model, PLAN)
    assert (merged_pass_of(model, PLAN) is not None) == (family in MODEL_TYPES)


def test_a_merged_pass_that_gives_other_scores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged_pass, "rotated", lambda states, *_: states)
    with pytest.raises(ModelUnavailableError, match=r"'llama' \(LlamaForCausalLM\) are not supported"):
        merge_if_it_fits(random_model("llama"), PLAN)


def test_a_model_is_not_merged_without_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scored_model, "free_bytes", lambda _: 1e5)
    model = random_model("llama")
    with caplog.at_level("INFO"):
        merge_if_it_fits(model, PLAN)
    assert merged_pass_of(model, PLAN) is None
    assert "Scoring does not merge the adapter into the weights: in fp32 they take 0.0 GB" in caplog.text


@pytest.mark.parametrize("family", ["phi", "granite", "gemma2", "cohere"])
def test_candidates_in_bf16_get_the_bias_the_scale_and_the_cap_of_the_model(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scored_model, "room_for_fp32", lambda *_: False)
    monkeypatch.setitem(scored_model.TOLERANCE, "bf16", 0.05)
    require_plain_scores(random_model(family).bfloat16(), replace(PLAN, precision="bf16"))


@pytest.mark.parametrize("changed", ["MLP", "RMSNorm", "Attention"])
def test_a_model_with_other_layers_under_the_same_name_is_refused_by_name(changed: str) -> None:
    model = random_model("llama")
    for module in model.modules():
        if type(module).__name__ == f"Llama{changed}":
            module.forward = own_layer(module.forward)
    with pytest.raises(ModelUnavailableError, match=r"'llama' \(LlamaForCausalLM\) are not supported"):
        require_plain_scores(model, PLAN)


def own_layer(forward: Any) -> Any:
    """Return a forward pass that looks like one of ours and gives another result."""

    def doubled(*inputs: Any, **options: Any) -> Any:
        result = forward(*inputs, **options)
        return (2 * result[0], *result[1:]) if isinstance(result, tuple) else 2 * result

    doubled.__module__ = "review_sentiment.models.lean_layers"
    return doubled
