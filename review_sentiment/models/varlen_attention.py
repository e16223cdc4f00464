"""Attention over packed rows with FlashAttention, which reads rows of any length from one sequence.

A row sees the shared prefix and itself, and its queries are computed once. There are two ways to let
FlashAttention do that:

1. Attend to the prefix and to the row apart, and merge both by the log-sum-exp (Hydragen). The backward pass
   of `varlen_attn` ignores the gradient of the log-sum-exp (torch 2.13), so gradients would be wrong without
   an error.
2. Repeat the keys and values of the prefix before each row. That is differentiable as it is, and cheap
   because queries share keys in groups: with Llama 3.1 8B, a repeated token takes 4 KB in a layer, where a
   computed one keeps about 180 KB for its backward pass. This module does that.

`varlen_attn` exists on GPUs only. `varlen_reference` has the same contract and takes its place on a CPU, in
tests and in `benchmarks/gpu_check.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import signature
from itertools import pairwise
from typing import Any

import torch

from review_sentiment.models.batching import on_device
from review_sentiment.models.packing import PackedRows

ALL, CAUSAL = (-1, -1), (-1, 0)
"""Windows of `varlen_attn`: how far a query sees to its left and right, -1 for any distance."""
OLDEST_TORCH = (2, 11)
"""Version whose `varlen_attn` has a scale and windows: 2.10 knows neither, and 2.9 has no such function."""


def attend_by_length(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: PackedRows, scale: float
) -> torch.Tensor:
    """Return the attention's output [L, heads, size]; q is [L, heads, size], k and v [L, key heads, size]."""
    found = rows.once((len(q), q.device), lambda: _sequences(rows, len(q), q.device))
    if rows.prefix:
        k, v = (_RepeatedPrefix.apply(states, found) for states in (k, v))  # type: ignore[no-untyped-call]
    attend: Callable[..., Any] = varlen_reference
    if q.is_cuda:
        from torch.nn.attention.varlen import varlen_attn as attend
    groups = {"enable_gqa": True}
    if not _shares_keys(attend):
        k, v = (states.repeat_interleave(q.shape[1] // states.shape[1], dim=1) for states in (k, v))
        groups = {}
    # The causal triangle ends at the last query and the last key of a row, so a row sees its whole prefix.
    output: torch.Tensor = attend(
        q,
        k,
        v,
        found.query_starts,
        found.key_starts,
        found.most_queries,
        found.most_keys,
        scale=scale,
        window_size=CAUSAL,
        **groups,
    )
    return output


def is_available() -> bool:
    """Return whether this torch has what `attend_by_length` needs on a GPU."""
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= OLDEST_TORCH


@cache
def _shares_keys(attend: Callable[..., Any]) -> bool:
    """Return whether queries can share keys in groups: torch 2.11 wants a key for every head."""
    return "enable_gqa" in signature(attend).parameters


@dataclass(frozen=True)
class _Sequences:
    """What attends to what: the prefix and the padding to themselves, each row to the prefix and itself.

    `query_starts` and `key_starts` [sequences + 1] are INT32, as FlashAttention wants them. `keys_at` [keys]
    are the tokens that the keys come from. `own_at` [L] and `shared_at` [rows * prefix] lead back: from a
    token to its own key, and to its copies before the rows.
    """

    rows: int
    most_queries: int
    most_keys: int
    query_starts: torch.Tensor
    key_starts: torch.Tensor
    keys_at: torch.Tensor
    own_at: torch.Tensor
    shared_at: torch.Tensor


def _sequences(rows: PackedRows, length: int, device: torch.device) -> _Sequences:
    padding, n = length - rows.tokens, len(rows.lengths)
    # (queries, keys of the prefix before them). As a sequence of its own, the padding needs no special case.
    pairs = [(rows.prefix, 0), *((own, rows.prefix) for own in rows.lengths), (padding, 0)]
    own, shared = torch.tensor([pair for pair in pairs if pair[0]]).unbind(1)
    query_starts, key_starts = (
        torch.nn.functional.pad(count.cumsum(0), (1, 0)) for count in (own, own + shared)
    )
    # Token t is query t. Its key lies behind the copies of the prefix before it.
    own_at = torch.arange(length) + (key_starts[:-1] + shared - query_starts[:-1]).repeat_interleave(own)
    of_rows = key_starts[:-1][shared > 0]
    shared_at = of_rows[:, None] + torch.arange(rows.prefix)
    keys_at = torch.empty(int(key_starts[-1]), dtype=torch.long)
    keys_at[own_at] = torch.arange(length)
    keys_at[shared_at] = torch.arange(rows.prefix)
    return _Sequences(
        n,
        int(own.max()),
        int((own + shared).max()),
        *(
            on_device(tensor, device)
            for tensor in (query_starts.int(), key_starts.int(), keys_at, own_at, shared_at.flatten())
        ),
    )


class _RepeatedPrefix(torch.autograd.Function):
    """Keys or values [L, heads, size] with the prefix before each row: [keys, heads, size].

    The derivative of `index_select` adds in any order, and rounds to BF16 after each row. Here the copies of
    the prefix are added up in FP32, always in the same order.
    """

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, sequences: _Sequences) -> torch.Tensor:
        ctx.sequences = sequences
        return states.index_select(0, sequences.keys_at)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        sequences, gradient = ctx.sequences, gradients[0]
        total = gradient.index_select(0, sequences.own_at)
        copies = gradient.index_select(0, sequences.shared_at).view(sequences.rows, -1, *gradient.shape[1:])
        total[: copies.shape[1]] += copies.sum(0)
        return total, None


def varlen_reference(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int] = ALL,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Compute what `torch.nn.attention.varlen.varlen_attn` does, sequence by sequence, on any device.

    `query` is [queries, heads, size], `key` and `value` are [keys, key heads, size]. Sequence i has the
    queries and keys from `cu_seq_q[i]` and `cu_seq_k[i]` (INT32) up to the next ones.

    Raises:
        ValueError: the contract is broken, or the window is neither all tokens nor the causal one.
    """
    group, rest = divmod(query.shape[1], key.shape[1])
    if rest or (group > 1 and not enable_gqa) or window_size not in (ALL, CAUSAL):
        raise ValueError(f"{query.shape[1]} heads, {key.shape[1]} key heads, window {window_size}")
    if {cu_seq_q.dtype, cu_seq_k.dtype} != {torch.int32}:
        raise ValueError(f"starts are {cu_seq_q.dtype} and {cu_seq_k.dtype}, not INT32")
    starts = zip(pairwise(cu_seq_q.tolist()), pairwise(cu_seq_k.tolist()), strict=True)
    outputs = []
    for queries, keys in starts:
        q = query[slice(*queries)].transpose(0, 1)
        k, v = (states[slice(*keys)].transpose(0, 1).repeat_interleave(group, 0) for states in (key, value))
        if q.shape[1] > max_q or k.shape[1] > max_k:
            raise ValueError(f"{q.shape[1]} queries and {k.shape[1]} keys, more than {max_q} and {max_k}")
        scores = q @ k.transpose(1, 2) * scale
        if window_size == CAUSAL:
            hidden = torch.ones(scores.shape[1:], dtype=torch.bool, device=q.device)
            scores = scores.masked_fill(hidden.triu_(k.shape[1] - q.shape[1] + 1), float("-inf"))
        outputs.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(outputs)
