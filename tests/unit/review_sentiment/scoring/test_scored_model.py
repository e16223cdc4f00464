"""Scores of every family that we accept are those of plain transformers; any other is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.compute import plan_compute
from review_sentiment.scoring import scored_model
from review_sentiment.scoring.scored_model import require_plain_scores

PLAN = plan_compute("cpu", "fp32")
COMMON: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
# What stands between hidden state and logit, and a sliding window shorter than the rows, are switched on.
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "smollm3": {},
    "mistral": {"sliding_window": 8, "head_dim": 16},
    "gemma": {"head_dim": 16},
    "gemma2": {
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 8,
        "final_logit_softcapping": 3.0,
        "attn_logit_softcapping": 5.0,
    },
    "gemma3_text": {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8},
    "phi": {},
    "phi3": {"sliding_window": 8},
    "gpt_neox": {"rotary_pct": 0.25},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128},
    "gptj": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "rotary_dim": 8},
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"alibi": True, "new_decoder_architecture": False},
    "mixtral": {"num_local_experts": 4},
    "granite": {
        "logits_scaling": 4.0,
        "embedding_multiplier": 2.0,
        "residual_multiplier": 0.5,
        "attention_multiplier": 0.3,
    },
    "olmo2": {},
    "cohere": {"logit_scale": 0.3},
}
ROUNDING = 1e-5


def random_model(family: str) -> PreTrainedModel:
    """Return a model with biases that matter and an output layer that is not flat."""
    torch.manual_seed(0)
    configuration = AutoConfig.for_model(family, **(COMMON | FAMILIES[family]))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(configuration, attn_implementation="eager")
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(12)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model.float().eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_plain_transformers(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scored_model.TOLERANCE, "fp32", ROUNDING)
    model = random_model(family)
    require_plain_scores(model, PLAN)
    require_plain_scores(model.bfloat16(), replace(PLAN, precision="bf16"))  # compared in FP32 as well


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
