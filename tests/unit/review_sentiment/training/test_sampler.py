"""The order of the reviews: each once an epoch, from seed and epoch alone, the heaviest batch first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.training.sampler import ByLength, RandomBatches

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=80)


def heaviest_first(order: list[int], lengths: list[int], batch_size: int) -> bool:
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    tokens = [sum(lengths[row] for row in batch) for batch in batches if len(batch) == batch_size]
    return not tokens or tokens[0] == max(tokens)


@hypothesis_settings(max_examples=50)
@given(lengths=LENGTHS, batch_size=st.integers(1, 20), seed=st.integers(0, 9), step=st.integers(0, 30))
def test_a_random_order_has_every_row_once_and_the_heaviest_batch_first(
    lengths: list[int], batch_size: int, seed: int, step: int
) -> None:
    order = list(RandomBatches(batch_size, lengths, seed, lambda: step))
    assert sorted(order) == list(range(len(lengths)))
    assert heaviest_first(order, lengths, batch_size)


@pytest.mark.parametrize("kind", [RandomBatches, ByLength])
def test_the_order_follows_from_seed_and_epoch(kind: type[RandomBatches] | type[ByLength]) -> None:
    lengths = [(7 * row) % 90 + 1 for row in range(100)]

    def order(seed: int, step: int) -> list[int]:
        return list(kind(8, lengths, seed, lambda: step))

    assert order(1, 0) == order(1, 12)  # 13 steps an epoch
    assert order(1, 0) != order(1, 13)
    assert order(1, 0) != order(2, 0)


def test_random_batches_have_rows_of_all_lengths() -> None:
    """Batches of similar lengths trained a worse model on the embedded reviews (see docs/training.md)."""
    lengths = list(range(1, 161))
    order = list(RandomBatches(16, lengths, 0, lambda: 0))
    for start in range(0, 160, 16):
        batch = [lengths[row] for row in order[start : start + 16]]
        assert max(batch) - min(batch) > 80
