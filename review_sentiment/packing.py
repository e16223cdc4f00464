"""Rows of a batch as one sequence without padding, the prefix that they share computed once.

Every prompt starts with the same instruction. In a causal model its hidden
states and keys do not depend on what follows, so rows that share a prefix can
share its computation, forward and backward: the gradient of the prefix is the
sum over the rows ("Hydragen", arXiv 2402.05099, does the same in decoding).
Everything but attention treats tokens one by one and runs over the packed
sequence [prefix | rest of row 1 | rest of row 2 | ...]; attention puts the rows
side by side and lets each see the prefix and itself.

With the embedded data that is a quarter fewer tokens; `tests/unit/test_packing.py`
holds the parity with padded rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from review_sentiment.batching import rounded_up

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS_MULTIPLE = 64
WIDTH_MULTIPLE = 16
"""Sequences and rows are rounded up: oneDNN compiles and keeps kernels for every new shape, 20 MB and a
tenth of the time of a pass when each pass has another length (torch 2.13)."""
ATTENTION = "review_sentiment_packed_rows"
"""Name of the attention below in the registry of transformers."""
MODEL_TYPES = ("llama", "qwen2", "qwen3", "smollm3")
"""Models whose attention is causal over everything and scaled, and nothing more."""


@dataclass(frozen=True)
class PackedRows:
    """Where the tokens of n rows are in the packed sequence of L tokens.

    `source` [n, width] are places in the sequence, with padding at a row's end;
    `target` are the places in the flattened rows of the sequence's tokens
    between the prefix and the padding at its end.
    """

    prefix: int
    source: torch.Tensor
    target: torch.Tensor

    @property
    def tokens(self) -> int:
        """Return the length of the sequence without the padding at its end."""
        return self.prefix + len(self.target)


@dataclass(frozen=True)
class PackedBatch:
    """The packed sequence: token ids [1, L] and their positions [1, L] within their rows."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    rows: PackedRows


def shared_prefix(rows: Sequence[list[int]], most: int) -> int:
    """Return how many tokens all rows start with, at most `most`."""
    first, last = min(rows), max(rows)
    return next((place for place in range(most) if first[place] != last[place]), most)


def pack(rows: Sequence[list[int]], most_shared: int) -> PackedBatch:
    """Pack rows of token ids, each of more than `most_shared` tokens."""
    prefix = shared_prefix(rows, most_shared)
    ids, positions = list(rows[0][:prefix]), list(range(prefix))
    width = rounded_up(max(len(row) for row in rows) - prefix, WIDTH_MULTIPLE)
    source = torch.zeros((len(rows), width), dtype=torch.long)
    target: list[int] = []
    for number, row in enumerate(rows):
        own = len(row) - prefix
        source[number, :own] = torch.arange(len(ids), len(ids) + own)
        target.extend(range(number * width, number * width + own))
        ids.extend(row[prefix:])
        positions.extend(range(prefix, len(row)))
    padding = [0] * (rounded_up(len(ids), TOKENS_MULTIPLE) - len(ids))
    ids += padding
    positions += padding
    return PackedBatch(
        torch.tensor([ids]), torch.tensor([positions]), PackedRows(prefix, source, torch.tensor(target))
    )


def can_pack(model: PreTrainedModel) -> bool:
    """Tell whether the model's attention is one that `packed_attention` computes."""
    config = model.config
    return (
        config.model_type in MODEL_TYPES
        and not getattr(config, "use_sliding_window", False)
        and not getattr(config, "attention_dropout", 0.0)
    )


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let the model compute `packed_attention`; its forward then wants `packed_rows`."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, packed_attention)
    model.set_attn_implementation(ATTENTION)


@contextmanager
def packed_attention_in(model: PreTrainedModel) -> Iterator[None]:
    """Let the model compute `packed_attention` within the block, and what it computed before after it."""
    before = model.config._attn_implementation
    use_packed_attention(model)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def packed_attention(
    module: torch.nn.Module,  # noqa: ARG001 - the signature is transformers'
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - what a row sees is told by `packed_rows`
    scaling: float,
    packed_rows: PackedRows,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention's output [1, L, heads, size]; query, key and value are [1, heads, L, size]."""
    length, used, n = query.shape[2], packed_rows.tokens, packed_rows.prefix
    q, k, v = (states[0].transpose(0, 1)[:used] for states in (query, key, value))
    own = _RowAttention.apply(q[n:], k, v, packed_rows, scaling)  # type: ignore[no-untyped-call]
    parts = [own, own.new_zeros(length - used, *own.shape[1:])]
    if n:
        alone = PackedRows(0, torch.arange(n)[None], torch.arange(n))
        parts.insert(0, _RowAttention.apply(q[:n], k[:n], v[:n], alone, scaling))  # type: ignore[no-untyped-call]
    return torch.cat(parts)[None], None


class _RowAttention(torch.autograd.Function):
    """Causal attention of each row over the prefix and itself, with grouped key heads.

    q [tokens - prefix, heads, size], k and v [tokens, key heads, size]. What is kept for
    the backward pass is in the precision of q: the probabilities of eager
    attention take three times as much.
    """

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: PackedRows, scale: float
    ) -> torch.Tensor:
        n, width = rows.source.shape
        key_heads = k.shape[1]
        q_rows = _grouped(_take(q, rows.source - rows.prefix), key_heads)
        k_rows, v_rows = (_with_prefix(states, rows) for states in (k, v))
        scores = torch.bmm(q_rows, k_rows.transpose(1, 2)).mul_(scale)
        hidden = torch.ones(width, rows.prefix + width, dtype=torch.bool, device=q.device)
        hidden = hidden.triu_(rows.prefix + 1)
        scores.view(-1, width, rows.prefix + width).masked_fill_(hidden, float("-inf"))
        probabilities = scores.softmax(-1)
        output = torch.bmm(probabilities, v_rows)
        ctx.save_for_backward(q_rows, k_rows, v_rows, probabilities)
        ctx.rows, ctx.scale, ctx.key_heads = rows, scale, key_heads
        return _packed(_ungrouped(output, n, width), rows)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q_rows, k_rows, v_rows, probabilities = ctx.saved_tensors
        rows: PackedRows = ctx.rows
        n, width = rows.source.shape
        spread = torch.zeros((n * width, *gradients[0].shape[1:]), dtype=q_rows.dtype, device=q_rows.device)
        spread.index_copy_(0, rows.target, gradients[0].to(q_rows.dtype))
        gradient = _grouped(spread.view(n, width, *spread.shape[1:]), ctx.key_heads)
        v_gradient = torch.bmm(probabilities.transpose(1, 2), gradient)
        p_gradient = torch.bmm(gradient, v_rows.transpose(1, 2))
        s_gradient = torch._softmax_backward_data(p_gradient, probabilities, -1, probabilities.dtype)
        s_gradient.mul_(ctx.scale)
        q_gradient = torch.bmm(s_gradient, k_rows)
        k_gradient = torch.bmm(s_gradient.transpose(1, 2), q_rows)
        return (
            _packed(_ungrouped(q_gradient, n, width), rows),
            _without_prefix(k_gradient, rows),
            _without_prefix(v_gradient, rows),
            None,
            None,
        )


def _take(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the states [n, width, heads, size] at the places [n, width]; padding takes any."""
    taken = states.reshape(len(states), -1).index_select(0, places.clamp(min=0).flatten())
    return taken.view(*places.shape, *states.shape[1:])


def _grouped(states: torch.Tensor, key_heads: int) -> torch.Tensor:
    """Return [n, width, heads, size] as [n * key heads, group * width, size]."""
    n, width, heads, size = states.shape
    by_group = states.view(n, width, key_heads, heads // key_heads, size).permute(0, 2, 3, 1, 4)
    return by_group.reshape(n * key_heads, -1, size)


def _ungrouped(states: torch.Tensor, n: int, width: int) -> torch.Tensor:
    """Return [n * key heads, group * width, size] as [n * width, heads, size]."""
    size = states.shape[-1]
    by_group = states.view(n, states.shape[0] // n, -1, width, size).permute(0, 3, 1, 2, 4)
    return by_group.reshape(n * width, -1, size)


def _packed(states: torch.Tensor, rows: PackedRows) -> torch.Tensor:
    """Return the states [n * width, heads, size] of the sequence's tokens, without the padding."""
    flat = states.reshape(len(states), -1).index_select(0, rows.target)
    return flat.view(-1, *states.shape[1:])


def _with_prefix(states: torch.Tensor, rows: PackedRows) -> torch.Tensor:
    """Return keys or values [L, heads, size] as [n * heads, prefix + width, size]."""
    own = _take(states, rows.source)
    prefix = states[: rows.prefix].expand(len(own), -1, -1, -1)
    whole = torch.cat([prefix, own], dim=1).transpose(1, 2)
    return whole.reshape(-1, whole.shape[2], whole.shape[3])


def _without_prefix(gradient: torch.Tensor, rows: PackedRows) -> torch.Tensor:
    """Undo `_with_prefix` for gradients: those of the prefix add up over the rows."""
    n, width = rows.source.shape
    by_row = gradient.view(n, -1, rows.prefix + width, gradient.shape[-1]).transpose(1, 2)
    own = _packed(by_row[:, rows.prefix :].reshape(n * width, *by_row.shape[2:]), rows)
    return torch.cat([by_row[:, : rows.prefix].sum(0), own])
