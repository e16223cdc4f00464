"""Bottom-k samples."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from review_sentiment.data.sampling import BEYOND_CAP, DUPLICATE, BottomK

Offer = tuple[int, str]
OFFERS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcd")), max_size=60)
SIZES = st.integers(1, 12)


def sample(offers: list[Offer], size: int) -> tuple[list[Offer], Counter[str | None]]:
    """Return the kept rows in the order of their keys, and the reported reasons."""
    kept = BottomK[dict[str, Offer]](size)
    reported = Counter(kept.add(key, tie, {"offer": (key, tie)}) for key, tie in offers)
    return sorted(row["offer"] for row in kept), reported


@settings(max_examples=50)
@given(OFFERS, SIZES)
def test_the_sample_is_the_first_of_the_distinct_rows_sorted_by_key(offers: list[Offer], size: int) -> None:
    smallest: dict[int, Offer] = {}
    for offer in sorted(offers, reverse=True):
        smallest[offer[0]] = offer
    assert sample(offers, size)[0] == sorted(smallest.values())[:size]


@settings(max_examples=50)
@given(OFFERS, SIZES, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    offers: list[Offer], size: int, shuffler: random.Random
) -> None:
    shuffled = offers.copy()
    shuffler.shuffle(shuffled)
    assert sample(shuffled, size)[0] == sample(offers, size)[0]


@settings(max_examples=50)
@given(OFFERS, OFFERS, SIZES)
def test_samples_of_parts_merge_into_the_sample_of_the_whole(
    some: list[Offer], others: list[Offer], size: int
) -> None:
    merged = sample(some, size)[0] + sample(others, size)[0]
    assert sample(merged, size)[0] == sample(some + others, size)[0]


@settings(max_examples=50)
@given(OFFERS, SIZES)
def test_every_row_is_kept_or_reported_as_dropped(offers: list[Offer], size: int) -> None:
    kept, reported = sample(offers, size)
    assert reported[None] == len(kept)
    assert reported.total() == len(offers)


@settings(max_examples=50)
@given(OFFERS)
def test_before_the_sample_is_full_every_repeated_key_is_a_duplicate(offers: list[Offer]) -> None:
    keys = {key for key, _ in offers}
    assert sample(offers, 100)[1] == Counter({None: len(keys), DUPLICATE: len(offers) - len(keys)})


def test_a_full_sample_reports_one_row_beyond_the_cap_whichever_is_dropped() -> None:
    kept = BottomK[dict[str, int]](1)
    assert kept.add(5, "a", {"n": 5}) is None
    assert kept.add(9, "a", {"n": 9}) == BEYOND_CAP
    assert kept.add(1, "a", {"n": 1}) == BEYOND_CAP
    assert list(kept) == [{"n": 1}]
