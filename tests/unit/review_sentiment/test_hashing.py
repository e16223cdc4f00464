"""Hashes are the same on all machines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review_sentiment import hashing
from review_sentiment.hashing import stable_hash, unit_interval

PARTS = st.lists(st.text(), max_size=4)


def test_known_values_are_the_same_on_every_machine() -> None:
    assert stable_hash("42", "product", "B0001") == 12_353_263_538_139_946_224
    assert stable_hash() == 13_020_603_013_274_838_756
    assert stable_hash("größer", "★") == 16_038_380_860_915_241_129


@settings(max_examples=50)
@given(PARTS, PARTS)
def test_different_parts_have_different_hashes(some: list[str], others: list[str]) -> None:
    assert (stable_hash(*some) == stable_hash(*others)) == (some == others)


@pytest.mark.parametrize("parts", [("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("c", "ab")])
def test_the_boundaries_and_the_order_of_the_parts_matter(parts: tuple[str, ...]) -> None:
    assert stable_hash(*parts) != stable_hash("ab", "c")


@settings(max_examples=50)
@given(PARTS)
def test_a_hash_has_64_bits_and_its_interval_excludes_one(parts: list[str]) -> None:
    assert 0 <= stable_hash(*parts) < 2**64
    assert 0 <= unit_interval(*parts) < 1


def test_the_largest_hash_stays_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text with this hash is known, so the test replaces the hash itself."""
    monkeypatch.setattr(hashing, "stable_hash", lambda *_: 2**64 - 1)
    assert unit_interval("x") < 1


def test_hashes_are_uniform() -> None:
    places = [unit_interval("seed", str(number)) for number in range(4_000)]
    for low in (0.0, 0.25, 0.5, 0.75):
        assert sum(low <= place < low + 0.25 for place in places) == pytest.approx(1_000, abs=120)
