"""Divide rows of different lengths into batches with a token budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence


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


def padded_tokens(lengths: Sequence[int]) -> int:
    """Return the tokens of a padded batch of rows with these lengths."""
    return padded_width(lengths) * len(lengths)


def token_budget_batches(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Yield batches of row numbers, longest rows first, of at most `tokens_per_batch` padded tokens.

    The longest batch comes first, so that a lack of memory shows at once. A row longer than the budget is a
    batch of its own.
    """
    batch: list[int] = []
    width = 0
    for row in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        width = max(width, lengths[row])
        if batch and width * (len(batch) + 1) > tokens_per_batch:
            yield batch
            batch, width = [], lengths[row]
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
