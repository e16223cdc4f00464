"""Tiny random models of the families that label scoring and training are tested with."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

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
    "smollm3": {"no_rope_layers": [1, 0]},
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
