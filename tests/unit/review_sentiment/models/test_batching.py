"""Batches of a bounded number of tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.models.batching import even_batches, token_budget_batches


@hypothesis_settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 300), max_size=60), budget=st.integers(1, 900))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(token_budget_batches(lengths, budget))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= budget
    widths = [max(lengths[row] for row in batch) for batch in batches]
    assert widths == sorted(widths, reverse=True)


def padded_tokens(lengths: list[int]) -> int:
    return max(lengths) * len(lengths)


@hypothesis_settings(max_examples=50, deadline=None)
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
