"""Rows of a batch as one sequence without padding, the prefix that they share computed once.

Every prompt starts with the same instruction. In a causal model its hidden
states and keys do not depend on what follows, so rows that share a prefix can
share its computation, forward and backward: the gradient of the prefix is the
sum over the rows ("Hydragen", arXiv 2402.05099, does the same in decoding).
Everything but attention treats tokens one by one and runs over the packed
sequence [prefix | rest of row 1 | rest of row 2 | ...]; attention puts the rows
side by side and lets each see the prefix and itself.

With the embedded data that is a quarter fewer tokens; `tests/unit/review_sentiment/models/test_packing.py`
holds the parity with padded rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from review_sentiment.models.batching import rounded_up

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS_MULTIPLE = 64
WIDTH_MULTIPLE = 16
"""Sequences and rows are rounded up: oneDNN compiles and keeps kernels for every new shape, 20 MB and a
tenth of the time of a pass when each pass has another length (torch 2.13)."""
ROWS_PER_BLOCK = 8
"""Rows that attention puts side by side, padded to the longest of them. Rows come longest first: a random
batch of 16 trains 1.04 times as fast in two blocks as in one (median of 16 steps in turn), in four 1.03."""
KEYS_MULTIPLE = 32
"""Keys of a row, for the vector units: the BF16 softmax of 124 keys takes 2.5 times that of 128."""
ATTENTION = "review_sentiment_packed_rows"
"""Name of the attention below in the registry of transformers."""
MODEL_TYPES = ("llama", "qwen2", "qwen3", "smollm3")
"""Models whose attention is causal over everything and scaled, and nothing more."""


@dataclass(frozen=True)
class PackedRows:
    """Where the tokens of rows are in the packed sequence: the prefix, then what each row has of its own.

    `lengths` are the tokens of each row without the prefix.
    """

    prefix: int
    lengths: tuple[int, ...]
    _blocks: dict[object, list[_Block]] = field(default_factory=dict, repr=False, compare=False)

    def blocks(self, q: torch.Tensor, k: torch.Tensor) -> list[_Block]:
        """Return the prefix as a block of its own, where there is one, and the rows, some to a block.

        Computed for the first layer and used by all whose q and k are alike.
        """
        known = (q.shape[1], k.shape[1], q.device, q.dtype)
        if known not in self._blocks:
            groups: list[tuple[int, tuple[int, ...], int]] = [(0, (self.prefix,), 0)] if self.prefix else []
            start = self.prefix
            for first in range(0, len(self.lengths), ROWS_PER_BLOCK):
                lengths = self.lengths[first : first + ROWS_PER_BLOCK]
                groups.append((start, lengths, self.prefix))
                start += sum(lengths)
            self._blocks[known] = [_block(*group, q, k) for group in groups]
        return self._blocks[known]

    @property
    def tokens(self) -> int:
        """Return the length of the sequence without the padding at its end."""
        return self.prefix + sum(self.lengths)

    def places(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Return the places in the sequence of tokens that are behind the prefix of their rows."""
        lengths = torch.tensor(self.lengths)
        return (lengths.cumsum(0) - lengths)[rows] + columns


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
    for row in rows:
        ids.extend(row[prefix:])
        positions.extend(range(prefix, len(row)))
    padding = [0] * (rounded_up(len(ids), TOKENS_MULTIPLE) - len(ids))
    ids += padding
    positions += padding
    lengths = tuple(len(row) - prefix for row in rows)
    return PackedBatch(torch.tensor([ids]), torch.tensor([positions]), PackedRows(prefix, lengths))


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
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    output = _PackedAttention.apply(q, k, v, packed_rows, scaling)  # type: ignore[no-untyped-call]
    return output[None], None


class _PackedAttention(torch.autograd.Function):
    """Causal attention of the prefix over itself, and of each row over the prefix and itself.

    q [L, heads, size], k and v [L, key heads, size]. What is kept for the backward
    pass is in the precision of q: the probabilities of eager attention take three
    times as much. States are moved between the sequence and the rows by one
    `index_select` each, straight to the layout of the matrix product.
    """

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: PackedRows, scale: float
    ) -> torch.Tensor:
        output = torch.zeros_like(q)
        kept: list[torch.Tensor] = []
        blocks = rows.blocks(q, k)
        for block in blocks:
            q_rows = block.queries(q).mul_(scale)
            k_rows, v_rows = block.keys(k), block.keys(v)
            scores = torch.bmm(q_rows, k_rows.transpose(1, 2))
            probabilities = scores.add_(block.bias).softmax(-1)
            output[block.start : block.stop] = block.sequence(torch.bmm(probabilities, v_rows))
            kept += [q_rows, k_rows, v_rows, probabilities]
        ctx.save_for_backward(*kept)  # q and k themselves are not needed again: 46 KB a token less
        ctx.blocks, ctx.scale = blocks, scale
        ctx.key_shape = k.shape
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        kept = ctx.saved_tensors
        dtype = kept[0].dtype
        q_gradient = torch.zeros_like(gradients[0], dtype=dtype)
        k_gradient, v_gradient = (q_gradient.new_zeros(ctx.key_shape) for _ in range(2))
        for number, block in enumerate(ctx.blocks):
            q_rows, k_rows, v_rows, probabilities = kept[4 * number : 4 * number + 4]
            own = slice(block.start, block.stop)
            gradient = block.spread(gradients[0][own].to(dtype))
            p_gradient = torch.bmm(gradient, v_rows.transpose(1, 2))
            s_gradient = torch._softmax_backward_data(p_gradient, probabilities, -1, probabilities.dtype)
            q_gradient[own] = block.sequence(torch.bmm(s_gradient, k_rows)).mul_(ctx.scale)
            block.add_keys(k_gradient, torch.bmm(s_gradient.transpose(1, 2), q_rows))
            block.add_keys(v_gradient, torch.bmm(probabilities.transpose(1, 2), gradient))
        return q_gradient, k_gradient, v_gradient, None, None


@dataclass(frozen=True)
class _Block:
    """Rows that attend to a prefix and themselves; their tokens are `start` to `stop` of the sequence.

    `bias` [group * width, keys] hides what a token does not see; keys are the prefix, the row and
    padding. `queries_at` [n * key heads * group * width] and `keys_at` [n * key heads * keys] are
    places in the flattened states [L * heads, size]; `own_at` [tokens * heads] and `own_keys_at`
    [tokens * key heads] are the places of the block's tokens in the rows.
    """

    start: int
    stop: int
    prefix: int
    rows: int
    key_heads: int
    bias: torch.Tensor
    queries_at: torch.Tensor
    keys_at: torch.Tensor
    own_at: torch.Tensor
    own_keys_at: torch.Tensor

    def queries(self, states: torch.Tensor) -> torch.Tensor:
        """Return [L, heads, size] as [n * key heads, group * width, size]."""
        flat = states.reshape(-1, states.shape[-1]).index_select(0, self.queries_at)
        return flat.view(self.rows * self.key_heads, -1, states.shape[-1])

    def keys(self, states: torch.Tensor) -> torch.Tensor:
        """Return [L, key heads, size] as [n * key heads, keys, size]."""
        flat = states.reshape(-1, states.shape[-1]).index_select(0, self.keys_at)
        return flat.view(self.rows * self.key_heads, -1, states.shape[-1])

    def sequence(self, states: torch.Tensor) -> torch.Tensor:
        """Return [n * key heads, group * width, size] as the block's tokens [tokens, heads, size]."""
        flat = states.reshape(-1, states.shape[-1]).index_select(0, self.own_at)
        return flat.view(self.stop - self.start, -1, states.shape[-1])

    def spread(self, states: torch.Tensor) -> torch.Tensor:
        """Return the block's tokens [tokens, heads, size] as [n * key heads, group * width, size]."""
        size = states.shape[-1]
        flat = states.new_zeros(len(self.queries_at), size)
        flat.index_copy_(0, self.own_at, states.reshape(-1, size))
        return flat.view(self.rows * self.key_heads, -1, size)

    def add_keys(self, total: torch.Tensor, gradient: torch.Tensor) -> None:
        """Add the gradient of `keys` to that of the states: those of the prefix add up over the rows."""
        size = gradient.shape[-1]
        own = gradient.reshape(-1, size).index_select(0, self.own_keys_at)
        total[self.start : self.stop] += own.view(self.stop - self.start, -1, size)
        if self.prefix:
            by_row = gradient.view(self.rows, self.key_heads, -1, size)[:, :, : self.prefix]
            total[: self.prefix] += by_row.sum(0).transpose(0, 1)


def _block(start: int, lengths: Sequence[int], prefix: int, q: torch.Tensor, k: torch.Tensor) -> _Block:
    heads, key_heads, n = q.shape[1], k.shape[1], len(lengths)
    width = rounded_up(max(lengths), WIDTH_MULTIPLE)
    own = torch.arange(width) < torch.tensor(lengths)[:, None]
    row, column = own.nonzero(as_tuple=True)
    source = torch.zeros(n, width, dtype=torch.long)
    source[own] = torch.arange(start, start + sum(lengths))
    head, key_head = torch.arange(heads), torch.arange(key_heads)
    padding = rounded_up(prefix + width, KEYS_MULTIPLE) - prefix - width
    keys = torch.cat(
        [torch.arange(prefix).expand(n, -1), source, torch.zeros(n, padding, dtype=torch.long)], 1
    )
    hidden = torch.ones(width, keys.shape[1], dtype=torch.bool).triu_(prefix + 1)
    bias = torch.zeros(hidden.shape, dtype=q.dtype).masked_fill_(hidden, float("-inf"))
    places = (
        bias.repeat(heads // key_heads, 1),
        (source[:, None, :] * heads + head[None, :, None]).flatten(),
        (keys[:, None, :] * key_heads + key_head[None, :, None]).flatten(),
        ((row[:, None] * heads + head) * width + column[:, None]).flatten(),
        ((row[:, None] * key_heads + key_head) * keys.shape[1] + prefix + column[:, None]).flatten(),
    )
    return _Block(start, start + len(row), prefix, n, key_heads, *(place.to(q.device) for place in places))
