"""The forward pass of a Llama-like model that only scores: its adapters are merged, and nothing is kept.

Training needs the base weights in 4 bits and the adapters beside them. Scoring needs neither, so this pass

- computes W + scale B A once, instead of dequantising W and computing x W' + scale (x A') B' for each batch;
- computes queries, keys and values in one product, and gate and up in another;
- adds to the residual stream in place, and keeps nothing for a backward pass;
- lets only the last token of each row through the output and the feed-forward part of the last block, since
  no other is read: 3 % of the products of a model of 30 blocks.

Merging changes nothing but rounding: log-probabilities of the embedded model by 3e-5 in FP32. Calls share no
state, so several threads can score at once.

A row has the same logits in any batch, to the last bit, as far as matrix products allow it. Intel's sum in
the same order for any number of rows from 16 on, so the last block and the output layer, which get one token
of each row, are given at least 16. With several threads, an FP32 product of about 100 rows is also divided
along its sums (by MKL; oneDNN in BF16 does not): `next_token.py` gives such a batch one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from review_sentiment.models.batching import on_device
from review_sentiment.models.fused_lora import dense_weight
from review_sentiment.models.lean_layers import rotated, signed_sine
from review_sentiment.models.lora import ADAPTER
from review_sentiment.models.packed_attention import KERNELS, can_pack
from review_sentiment.models.packing import PackedRows, pack

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from review_sentiment.models.compute import ComputePlan

EVEN_ROWS = 16
"""With fewer rows, matrix products are computed by other kernels, which sum in another order."""
ATTRIBUTE = "merged_pass"
"""Attribute of a model that scores by its merged pass."""


@dataclass(frozen=True)
class _Block:
    """The merged weights of a block, each [out, in]: queries, keys and values as one, gate and up as one."""

    layer: Any
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    output: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class MergedPass:
    """The forward pass of a model with merged adapters: rows of token ids in, logits out."""

    def __init__(self, model: PreTrainedModel, plan: ComputePlan) -> None:
        """Merge the adapters into a copy of the weights in the plan's precision."""
        self.precision = plan.precision
        self._decoder: Any = model.get_decoder()
        self._head: Any = model.get_output_embeddings()
        self._key_heads: int = model.config.num_key_value_heads
        self._attend = KERNELS[plan.packed_attention[0]]
        self._blocks = [_block(layer, plan.dtype) for layer in self._decoder.layers]

    def __call__(self, rows: Sequence[list[int]], candidates: torch.Tensor) -> torch.Tensor:
        """Return the FP32 logits [n, vocabulary] after the last token of each row."""
        batch = pack(rows, most_shared=min(map(len, rows)) - 1)
        ids, positions, ends = (
            on_device(places, self._head.weight.device)
            for places in (batch.input_ids, batch.position_ids, batch.rows.ends)
        )
        x = self._decoder.embed_tokens(ids[0])
        cos, sin = (angles[0, :, None] for angles in self._decoder.rotary_emb(x, positions))
        rotation = cos, signed_sine(sin)
        for block in self._blocks[:-1]:
            x = _feed_forward(block, *self._attended(block, x, rotation, batch.rows))
        x, attended = self._attended(self._blocks[-1], x, rotation, batch.rows)
        read = evened(ends)
        x = self._decoder.norm(_feed_forward(self._blocks[-1], x[read], attended[read]))
        # The candidates are computed in FP64: a BF16 logit of 20 is a multiple of 1/8, which makes ties. As
        # sums of products, not as a matrix product: there are too few rows and columns for an even one.
        wide = x.double()
        exact = torch.stack([(wide * self._head.weight[one].double()).sum(-1) for one in candidates], -1)
        logits: torch.Tensor = self._head(x).float().index_copy_(-1, candidates, exact.float())
        return logits[: len(rows)]

    def _attended(
        self, block: _Block, x: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], rows: PackedRows
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x [L, hidden], and what attention adds to it before its output layer [L, heads * size]."""
        attention = block.layer.self_attn
        qkv = functional.linear(block.layer.input_layernorm(x), block.qkv, block.qkv_bias)
        heads = qkv.view(len(x), -1, attention.head_dim)
        q, k, v = heads.tensor_split([-2 * self._key_heads, -self._key_heads], dim=1)
        if hasattr(attention, "q_norm"):  # Qwen3
            q, k = attention.q_norm(q), attention.k_norm(k)
        if getattr(attention, "use_rope", True):  # SmolLM3 leaves it out in some blocks
            q, k = (rotated(states, *rotation) for states in (q, k))
        return x, self._attend(q, k, v, rows, attention.scaling).reshape(len(x), -1)


def evened(places: torch.Tensor) -> torch.Tensor:
    """Return places [n] with the first one repeated until there are `EVEN_ROWS`."""
    return torch.cat([places, places[:1].expand(max(0, EVEN_ROWS - len(places)))])


def has_merged_pass(model: PreTrainedModel) -> bool:
    """Return whether a model scores by a merged pass of any precision."""
    return hasattr(model, ATTRIBUTE)


def use_merged_pass(model: PreTrainedModel, plan: ComputePlan) -> MergedPass:
    """Let a model score by a merged pass of the plan's precision; its adapters must not change anymore."""
    merged = MergedPass(model, plan)
    setattr(model, ATTRIBUTE, merged)
    return merged


def merged_pass_of(model: PreTrainedModel, plan: ComputePlan) -> MergedPass | None:
    """Return the model's merged pass, if it has one of the plan's precision."""
    found: MergedPass | None = getattr(model, ATTRIBUTE, None)
    return found if found and found.precision == plan.precision else None


def can_merge(model: PreTrainedModel) -> bool:
    """Return whether `MergedPass` computes what the model does: a Llama-like one, with plain LoRA or none."""
    decoder: Any = model.get_decoder()
    if not can_pack(model.config):
        return False
    for block in decoder.layers:
        qkv, others = _projections(block)
        if not all(map(_is_plain_lora, qkv + others)) or any(layer.bias is not None for layer in others):
            return False
    return True


def _projections(layer: Any) -> tuple[list[Any], list[Any]]:
    """Return the linear layers of a block: q, k and v, whose bias the pass adds, and the others."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv = [attention.q_proj, attention.k_proj, attention.v_proj]
    return qkv, [attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj]


def _is_plain_lora(layer: Any) -> bool:
    if not hasattr(layer, "lora_A"):
        return True
    # DoRA also scales the columns of the sum.
    alone = list(layer.lora_A) == [ADAPTER] and not layer.lora_variant
    return alone and not (layer.disable_adapters or layer.merged)


def _block(layer: Any, dtype: torch.dtype) -> _Block:
    qkv, others = _projections(layer)
    output, gate, up, down = (_merged(projection, dtype) for projection in others)
    biases = [projection.bias for projection in qkv]
    return _Block(
        layer=layer,
        qkv=torch.cat([_merged(projection, dtype) for projection in qkv]),
        qkv_bias=None if biases[0] is None else torch.cat(biases).to(dtype),
        output=output,
        gate_up=torch.cat([gate, up]),
        down=down,
    )


@torch.no_grad()
def _merged(layer: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return W + scale B A [out, in], summed in FP32."""
    if not hasattr(layer, "lora_A"):
        return dense_weight(layer, dtype)
    weight = dense_weight(layer.get_base_layer(), torch.float32)
    update: torch.Tensor = layer.get_delta_weight(ADAPTER)
    return (weight + update.float()).to(dtype)


def _feed_forward(block: _Block, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """Return x [n, hidden] after the output layer of attention and the feed-forward part, in place."""
    x.addmm_(attended, block.output.t())
    normed = block.layer.post_attention_layernorm(x)
    gate, up = functional.linear(normed, block.gate_up).chunk(2, dim=-1)
    return x.addmm_(functional.silu(gate).mul_(up), block.down.t())
