"""Divide rows of different lengths into batches with a token budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def rounded_up(length: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least the length."""
    return -(-length // multiple) * multiple


PAD_TO_MULTIPLE = 16
"""Rows are padded to a multiple of the tile height of AMX: fewer shapes, and whole tiles."""
PAD_TO_MULTIPLE_ON_GPU = 64
"""A GPU wants fewer widths still: each has blocks of memory of its own size, which fragment it."""


def padded_width(lengths: Sequence[int], multiple: int = PAD_TO_MULTIPLE) -> int:
    """Return the width of a padded batch of rows with these lengths."""
    return rounded_up(max(lengths), multiple)


def padded_tokens(lengths: Sequence[int], multiple: int = PAD_TO_MULTIPLE) -> int:
    """Return the tokens of a padded batch of rows with these lengths."""
    return padded_width(lengths, multiple) * len(lengths)


def token_budget_batches(
    lengths: Sequence[int], tokens_per_batch: int, prefix: int | None = None
) -> Iterator[list[int]]:
    """Yield batches of row numbers, longest rows first, of at most `tokens_per_batch` tokens.

    Packed rows have `prefix` tokens in common, which a batch computes once. Without `prefix`, rows are padded
    to the longest. The longest batch comes first, so that a lack of memory shows at once. A row longer than
    the budget is a batch of its own.
    """
    batch: list[int] = []
    tokens = 0
    for row in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        # Rows come longest first, so the first row of a batch is the width of a padded one.
        more = lengths[batch[0]] if batch and prefix is None else lengths[row] - (prefix or 0)
        if batch and tokens + more > tokens_per_batch:
            yield batch
            batch, more = [], lengths[row] - (prefix or 0)
        tokens = more + (tokens if batch else prefix or 0)
        batch.append(row)
    if batch:
        yield batch


def even_batches(
    lengths: Sequence[int], tokens_per_batch: int, tokens_of: Callable[[Sequence[int]], int]
) -> list[list[int]]:
    """Divide rows into as few batches as the budget allows, with about the same number of tokens each.

    `tokens_of` returns the tokens of a batch of rows with given lengths, including padding if there is any. A
    row longer than the budget is a batch of its own.
    """
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for count in range(1, len(lengths) + 1):
        batches = [longest_first[first::count] for first in range(count)]
        if all(tokens_of([lengths[row] for row in batch]) <= tokens_per_batch for batch in batches):
            break
    return batches


def on_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a host tensor on a device.

    A GPU copies from pinned memory while it computes. From other memory, the copy would wait for all work
    that was queued before it.
    """
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
