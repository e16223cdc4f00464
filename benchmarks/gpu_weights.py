"""Random weights in the shape of Llama 3.1 8B, or of a tiny Llama, for the GPU check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig


def write_model(directory: Path, tokenizer: Path, layers: int, tiny: bool, at: str) -> None:
    """Write random weights, one file a layer: no more than a layer is held beside the files."""
    sizes = (
        {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
        if tiny
        else {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
        }
    )
    config = LlamaConfig(
        vocab_size=49_152 if tiny else 128_256,
        num_hidden_layers=layers,
        rope_theta=500_000.0,
        rms_norm_eps=1e-5,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        dtype="bfloat16",
        **sizes,
    )
    config.architectures = ["LlamaForCausalLM"]
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for file in tokenizer.iterdir():
        shutil.copy(file, directory)
    config.save_pretrained(directory)
    torch.manual_seed(0)
    h, i = config.hidden_size, config.intermediate_size
    kv = h // config.num_attention_heads * config.num_key_value_heads

    def normal(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, device=at) * 0.02).to(torch.bfloat16).cpu()

    index: dict[str, str] = {}

    def save(name: str, tensors: dict[str, torch.Tensor]) -> None:
        save_file(tensors, directory / name, metadata={"format": "pt"})
        index.update(dict.fromkeys(tensors, name))

    ones = torch.ones(h, dtype=torch.bfloat16)
    for n in range(layers):
        p = f"model.layers.{n}."
        save(
            f"layer-{n:02d}.safetensors",
            {
                f"{p}self_attn.q_proj.weight": normal(h, h),
                f"{p}self_attn.k_proj.weight": normal(kv, h),
                f"{p}self_attn.v_proj.weight": normal(kv, h),
                f"{p}self_attn.o_proj.weight": normal(h, h),
                f"{p}mlp.gate_proj.weight": normal(i, h),
                f"{p}mlp.up_proj.weight": normal(i, h),
                f"{p}mlp.down_proj.weight": normal(h, i),
                f"{p}input_layernorm.weight": ones.clone(),
                f"{p}post_attention_layernorm.weight": ones.clone(),
            },
        )
    v = config.vocab_size
    save(
        "ends.safetensors",
        {
            "model.embed_tokens.weight": normal(v, h),
            "lm_head.weight": normal(v, h),
            "model.norm.weight": ones,
        },
    )
    total = sum(file.stat().st_size for file in directory.glob("*.safetensors"))
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
