"""What the heaviest micro-batch of a training holds: computed from known rows, or assumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from review_sentiment.models.batching import even_batches, padded_tokens

ROWS_FOR_THE_LONGEST = 4
"""Rows that may replace the longest one in a micro-batch of unknown rows: short ones have more answers."""


@dataclass(frozen=True)
class MicroBatch:
    """The tokens of one forward and backward pass, and its rows.

    Padding is included, and a prefix that the rows share is counted once.
    """

    tokens: int
    rows: int


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
        return MicroBatch(tokens // self.longest * self.longest, rows)

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
        tokens_of = sum if packs_rows else padded_tokens
        shared = self.shared if packs_rows else 0
        found = []
        for rows in even_batches(self.lengths, token_budget, tokens_of):
            lengths = [self.lengths[row] for row in rows]
            repeated = (len(rows) - 1) * min(shared, *lengths)
            found.append(MicroBatch(tokens_of(lengths) - repeated, len(rows)))
        return max(found, key=lambda one: one.tokens)

    def truncated(self, longest: int) -> KnownRows:
        """Return the same with rows of at most `longest` tokens."""
        return replace(self, lengths=tuple(min(length, longest) for length in self.lengths))
