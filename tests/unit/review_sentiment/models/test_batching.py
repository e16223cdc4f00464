"""Batches of a bounded number of tokens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.models.batching import even_batches, token_budget_batches


@hypothesis_settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(9, 300), max_size=60),
    budget=st.integers(1, 900),
    prefix=st.none() | st.integers(0, 8),
)
def test_batches_hold_every_row_once_and_are_full(
    lengths: list[int], budget: int, prefix: int | None
) -> None:
    def tokens(batch: list[int]) -> int:
        if prefix is None:
            return max(lengths[row] for row in batch) * len(batch)
        return prefix + sum(lengths[row] - prefix for row in batch)

    batches = list(token_budget_batches(lengths, budget, prefix))
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or tokens(batch) <= budget for batch in batches)
    assert all(tokens([*batch, after[0]]) > budget for batch, after in pairwise(batches))


def padded_tokens(lengths: list[int]) -> int:
    return max(lengths) * len(lengths)


@hypothesis_settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 300), max_size=60), budget=st.integers(1, 900))
def test_even_batches_hold_every_row_once_and_are_even(lengths: list[int], budget: int) -> None:
    batches = even_batches(lengths, budget, padded_tokens)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(batches)
    tokens = [sum(lengths[row] for row in batch) for batch in batches]
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= budget
    if batches:
        assert max(tokens) - min(tokens) <= max(lengths)
