"""What the heaviest pass of a training holds: computed from its rows where they are known, else assumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from review_sentiment.models.batching import even_batches, padded_tokens

ROWS_FOR_THE_LONGEST = 4
"""Rows that may go in place of the longest one in a pass of unknown rows: short ones have more answers."""


@dataclass(frozen=True)
class Pass:
    """Tokens that a pass computes, padding included and a shared beginning counted once, and its rows."""

    tokens: int
    rows: int


class Rows(Protocol):
    """The rows of a training, as far as memory depends on them."""

    @property
    def longest(self) -> int:
        """Return the tokens of the longest row, its answer included."""

    def heaviest_pass(self, batch_size: int, tokens_per_pass: int, packs_rows: bool) -> Pass:
        """Return what the heaviest pass of the heaviest batch holds."""

    def cut(self, longest: int) -> Rows:
        """Return the same with rows of at most so many tokens."""


@dataclass(frozen=True)
class PlannedRows:
    """Rows of which only the longest is known: a pass is as full as it may be."""

    longest: int

    def heaviest_pass(self, batch_size: int, tokens_per_pass: int, packs_rows: bool) -> Pass:  # noqa: ARG002 - a plan is the same for both
        """Return a pass of longest rows, with the answers of shorter ones."""
        tokens = min(max(tokens_per_pass, self.longest), batch_size * self.longest)
        rows = min(batch_size, max(1, ROWS_FOR_THE_LONGEST * tokens // self.longest))
        return Pass(tokens // self.longest * self.longest, rows)

    def cut(self, longest: int) -> PlannedRows:
        """Return the same with a longest row of at most so many tokens."""
        return PlannedRows(min(self.longest, longest))


@dataclass(frozen=True)
class KnownRows:
    """The rows of the heaviest batch: their tokens, and with how many of them all begin alike."""

    lengths: tuple[int, ...]
    shared: int

    @property
    def longest(self) -> int:
        """Return the tokens of the longest row."""
        return max(self.lengths)

    def heaviest_pass(self, batch_size: int, tokens_per_pass: int, packs_rows: bool) -> Pass:  # noqa: ARG002 - the rows are one batch
        """Return the pass of most tokens, divided as `AnswerTrainer` divides a batch."""
        tokens_of = sum if packs_rows else padded_tokens
        shared = self.shared if packs_rows else 0
        found = []
        for rows in even_batches(self.lengths, tokens_per_pass, tokens_of):
            lengths = [self.lengths[row] for row in rows]
            repeated = (len(rows) - 1) * min(shared, *lengths)
            found.append(Pass(tokens_of(lengths) - repeated, len(rows)))
        return max(found, key=lambda one: one.tokens)

    def cut(self, longest: int) -> KnownRows:
        """Return the same with rows of at most so many tokens."""
        return replace(self, lengths=tuple(min(length, longest) for length in self.lengths))
