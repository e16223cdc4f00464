"""Rows of different lengths into batches of a bounded number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence


def rounded_up(length: int, multiple: int) -> int:
    """Return the smallest multiple that is not below the length."""
    return -(-length // multiple) * multiple


PAD_TO_MULTIPLE = 16
"""Rows are padded to a multiple of the tile height of AMX: fewer shapes, whole tiles."""


def padded_width(lengths: Sequence[int]) -> int:
    """Return the width of a batch of rows of such lengths."""
    return rounded_up(max(lengths), PAD_TO_MULTIPLE)


def padded_tokens(lengths: Sequence[int]) -> int:
    """Return the tokens of such a batch, padding included."""
    return padded_width(lengths) * len(lengths)


def token_budget_batches(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Yield batches of row numbers, longest rows first, of at most that many tokens with padding.

    The longest batch comes first so that a lack of memory shows at once. A row
    longer than the budget is a batch of its own.
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
    """Divide rows into as few batches of about the same tokens as the budget allows.

    `tokens_of` tells the tokens of a batch with rows of such lengths, padding included where there is
    any. A row longer than the budget is a batch of its own.
    """
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for count in range(1, len(lengths) + 1):
        batches = [longest_first[first::count] for first in range(count)]
        if all(tokens_of([lengths[row] for row in batch]) <= tokens_per_batch for batch in batches):
            break
    return batches
