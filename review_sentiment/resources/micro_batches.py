"""What the heaviest micro-batch of a training holds: computed from known rows, or assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from review_sentiment.models.batching import even_batches, padded_tokens, padded_width, rounded_up

ROWS_FOR_THE_LONGEST = 4
"""Rows that may replace the longest one in a micro-batch of unknown rows: short ones have more answers."""


@dataclass(frozen=True)
class MicroBatch:
    """The tokens of one forward and backward pass, its rows, and what its attention keeps of one head.

    Padding is included, and a prefix that the rows share is counted once in `tokens`. Attention puts the rows
    side by side: it keeps `queries` and `keys` with the padding and the prefix of each row, and `scores`, the
    probabilities of all keys for all queries.
    """

    tokens: int
    rows: int
    queries: int
    keys: int
    scores: int

    @classmethod
    def padded(cls, rows: int, width: int) -> MicroBatch:
        """Return a micro-batch of rows that are padded to one width, or have it."""
        return cls(rows * width, rows, rows * width, rows * width, rows * width * width)

    @classmethod
    def packed(cls, lengths: Sequence[int], prefix: int) -> MicroBatch:
        """Return a micro-batch of packed rows, longest first, that start with the same `prefix` tokens."""
        from review_sentiment.models.block_attention import KEYS_MULTIPLE, ROWS_PER_BLOCK, WIDTH_MULTIPLE

        rests = [length - prefix for length in lengths]
        # The blocks of `block_attention.py`: the prefix, then groups of rows that see the prefix too.
        blocks = [([prefix], 0)] if prefix else []
        blocks += [(rests[n : n + ROWS_PER_BLOCK], prefix) for n in range(0, len(rests), ROWS_PER_BLOCK)]
        queries = keys = scores = 0
        for rows, seen in blocks:
            width = rounded_up(max(rows), WIDTH_MULTIPLE)
            own_keys = rounded_up(seen + width, KEYS_MULTIPLE)
            queries += len(rows) * width
            keys += len(rows) * own_keys
            scores += len(rows) * width * own_keys
        return cls(prefix + sum(rests), len(rests), queries, keys, scores)


class Rows(Protocol):
    """The rows of a training, as far as memory depends on them."""

    @property
    def longest(self) -> int:
        """Return the tokens of the longest row, its answer included."""

    def heaviest(self, token_budget: int, packs_rows: bool) -> MicroBatch:
        """Return the heaviest micro-batch of the heaviest batch."""

    def truncated(self, longest: int) -> Rows:
        """Return the same with rows of at most `longest` tokens."""


@dataclass(frozen=True)
class PlannedRows:
    """Rows of which only the longest is known: a micro-batch is as full as it may be."""

    longest: int
    batch_size: int

    def heaviest(self, token_budget: int, packs_rows: bool) -> MicroBatch:  # noqa: ARG002 - the same for both
        """Return a micro-batch of longest rows, with the answers of shorter ones."""
        tokens = min(max(token_budget, self.longest), self.batch_size * self.longest)
        rows = min(self.batch_size, max(1, ROWS_FOR_THE_LONGEST * tokens // self.longest))
        return replace(MicroBatch.padded(tokens // self.longest, self.longest), rows=rows)

    def truncated(self, longest: int) -> PlannedRows:
        """Return the same with a longest row of at most `longest` tokens."""
        return replace(self, longest=min(self.longest, longest))


@dataclass(frozen=True)
class KnownRows:
    """The rows of the heaviest batch: their tokens, and how many tokens all of them start with."""

    lengths: tuple[int, ...]
    shared: int

    @property
    def longest(self) -> int:
        """Return the tokens of the longest row."""
        return max(self.lengths)

    def heaviest(self, token_budget: int, packs_rows: bool) -> MicroBatch:
        """Return the micro-batch with the most tokens, split as `AnswerTrainer` splits a batch."""
        found = []
        for rows in even_batches(self.lengths, token_budget, sum if packs_rows else padded_tokens):
            lengths = [self.lengths[row] for row in rows]
            if packs_rows:
                found.append(MicroBatch.packed(lengths, min(self.shared, min(lengths) - 1)))
            else:
                found.append(MicroBatch.padded(len(rows), padded_width(lengths)))
        return max(found, key=lambda one: one.tokens)

    def truncated(self, longest: int) -> KnownRows:
        """Return the same with rows of at most `longest` tokens."""
        return replace(self, lengths=tuple(min(length, longest) for length in self.lengths))
