"""Attention over packed rows in blocks: rows of similar length side by side, for any device and precision.

Written by hand instead of with autograd for memory: eager attention keeps the probabilities in FP32 and
twice, three times as many bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from review_sentiment.models.batching import on_device, rounded_up
from review_sentiment.models.packing import PackedRows

WIDTH_MULTIPLE = 16
"""Rows are rounded up to this multiple: fewer shapes, for which oneDNN compiles kernels (torch 2.13)."""
ROWS_PER_BLOCK = 8
"""Rows that attention puts side by side, padded to the longest of them. Since rows come longest first, two
blocks of 8 have less padding than one of 16. Four blocks of 4 gained nothing more."""
KEYS_MULTIPLE = 32
"""Keys of a row are rounded up for the vector units: the BF16 softmax of 124 keys takes 2.5 times as long as
that of 128."""


def attend_in_blocks(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: PackedRows, scale: float
) -> torch.Tensor:
    """Return the attention's output [L, heads, size]; q is [L, heads, size], k and v [L, key heads, size]."""
    output: torch.Tensor = _PackedAttention.apply(q, k, v, rows, scale)  # type: ignore[no-untyped-call]
    return output


def blocks_of(rows: PackedRows, q: torch.Tensor, k: torch.Tensor) -> list[_Block]:
    """Return the blocks of attention: the prefix, if there is one, then groups of rows."""
    # The prefix attends to nothing but itself, so it is a row of a block of its own.
    groups: list[tuple[int, tuple[int, ...], int]] = [(0, (rows.prefix,), 0)] if rows.prefix else []
    start = rows.prefix
    for first in range(0, len(rows.lengths), ROWS_PER_BLOCK):
        lengths = rows.lengths[first : first + ROWS_PER_BLOCK]
        groups.append((start, lengths, rows.prefix))
        start += sum(lengths)
    return [_block(*group, q, k) for group in groups]


class _PackedAttention(torch.autograd.Function):
    """Causal attention of the prefix over itself, and of each row over the prefix and itself.

    q is [L, heads, size], k and v are [L, key heads, size]. Queries share keys in groups (grouped-query
    attention), so each product has the queries of one group for a key head.
    """

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: PackedRows, scale: float
    ) -> torch.Tensor:
        # Zeros, because the padding at the end of the sequence is in no block.
        output = torch.zeros_like(q)
        kept: list[torch.Tensor] = []
        # The indices depend on shapes and types only.
        key = (q.shape[1], k.shape[1], q.device, q.dtype)
        blocks = rows.once(key, lambda: blocks_of(rows, q, k))
        for block in blocks:
            # One `index_select` moves the states from the sequence to the rows, in the layout that the
            # batched matrix product needs. Views and copies would touch the memory three times.
            q_rows = block.queries(q).mul_(scale)
            k_rows, v_rows = block.keys(k), block.keys(v)
            # The mask is added in place: -inf for keys that a token must not see, 0 for the others.
            scores = torch.bmm(q_rows, k_rows.transpose(1, 2))
            probabilities = scores.add_(block.bias).softmax(-1)
            output[block.start : block.stop] = block.sequence(torch.bmm(probabilities, v_rows))
            kept += [q_rows, k_rows, v_rows, probabilities]
        # Only the rows are kept. q, k and v as a sequence are not needed again: 46 KB per token less.
        ctx.save_for_backward(*kept)
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
            # The derivative of softmax(q k') v, in the order of the chain rule: v and p, then scores, then q,
            # k.
            p_gradient = torch.bmm(gradient, v_rows.transpose(1, 2))
            s_gradient = torch._softmax_backward_data(p_gradient, probabilities, -1, probabilities.dtype)
            # Each row has its own queries, so their gradients are assigned. Keys and values of the prefix are
            # used by every row, so theirs are summed.
            q_gradient[own] = block.sequence(torch.bmm(s_gradient, k_rows)).mul_(ctx.scale)
            block.add_keys(k_gradient, torch.bmm(s_gradient.transpose(1, 2), q_rows))
            block.add_keys(v_gradient, torch.bmm(probabilities.transpose(1, 2), gradient))
        return q_gradient, k_gradient, v_gradient, None, None


@dataclass(frozen=True)
class _Block:
    """Rows that attend to a prefix and themselves; their tokens are `start` to `stop` of the sequence.

    `bias` [group * width, keys] hides what a token does not see; the keys are prefix, row and padding.
    `queries_at` [n * key heads * group * width] and `keys_at` [n * key heads * keys] are indices into the
    flattened states [L * heads, size]: from the sequence to the rows. `own_at` [tokens * heads] and
    `own_keys_at` [tokens * key heads] are indices into the flattened rows: from the rows back to the
    sequence.
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
        """Add the gradient of `keys` to that of the states; that of the prefix is summed over rows."""
        size = gradient.shape[-1]
        own = gradient.reshape(-1, size).index_select(0, self.own_keys_at)
        total[self.start : self.stop] += own.view(self.stop - self.start, -1, size)
        if self.prefix:
            by_row = gradient.view(self.rows, self.key_heads, -1, size)[:, :, : self.prefix]
            total[: self.prefix] += by_row.sum(0).transpose(0, 1)


def _block(start: int, lengths: Sequence[int], prefix: int, q: torch.Tensor, k: torch.Tensor) -> _Block:
    # All indices count in the flattened states, where the head varies fastest: token * heads + head.
    heads, key_heads, n = q.shape[1], k.shape[1], len(lengths)
    width = rounded_up(max(lengths), WIDTH_MULTIPLE)
    own = torch.arange(width) < torch.tensor(lengths)[:, None]
    row, column = own.nonzero(as_tuple=True)
    # `source` maps a place in the rows to its token. Padding points to token 0, which is hidden or not used.
    source = torch.zeros(n, width, dtype=torch.long)
    source[own] = torch.arange(start, start + sum(lengths))
    head, key_head = torch.arange(heads), torch.arange(key_heads)
    # Keys of padding are hidden too: they lie to the right of every token of the row.
    padding = rounded_up(prefix + width, KEYS_MULTIPLE) - prefix - width
    keys = torch.cat(
        [torch.arange(prefix).expand(n, -1), source, torch.zeros(n, padding, dtype=torch.long)], 1
    )
    # A token sees the whole prefix and its own row up to itself: the causal triangle, moved by the prefix.
    hidden = torch.ones(width, keys.shape[1], dtype=torch.bool).triu_(prefix + 1)
    bias = torch.zeros(hidden.shape, dtype=q.dtype).masked_fill_(hidden, float("-inf"))
    places = (
        bias.repeat(heads // key_heads, 1),
        (source[:, None, :] * heads + head[None, :, None]).flatten(),
        (keys[:, None, :] * key_heads + key_head[None, :, None]).flatten(),
        ((row[:, None] * heads + head) * width + column[:, None]).flatten(),
        ((row[:, None] * key_heads + key_head) * keys.shape[1] + prefix + column[:, None]).flatten(),
    )
    on_q = (on_device(place, q.device) for place in places)
    return _Block(start, start + len(row), prefix, n, key_heads, *on_q)
