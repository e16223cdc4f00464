"""Times as tables write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_sentiment.data.times import seconds_of

NOON = datetime(2024, 5, 31, 12, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2024, 5, 31, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (NOON, NOON),
        (str(int(NOON)), NOON),
        (NOON * 1_000, NOON),
        ("2024-05-31T12:00:00Z", NOON),
        ("2024-05-31 14:00:00+02:00", NOON),
        ("2024-05-31 12:00", NOON),
        ("2024-05-31", MIDNIGHT),
        ("31.05.2024", MIDNIGHT),
        ("31.5.2024, 12:00", NOON),
        ("May 31, 2024", MIDNIGHT),
        ("31 May 2024 12:00", NOON),
        (date(2024, 5, 31), MIDNIGHT),
        (datetime(2024, 5, 31, 12), NOON),
    ],
)
def test_a_time_that_can_be_read_in_one_way_is_read(value: object, seconds: float) -> None:
    assert seconds_of(value) == seconds


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "5/6/2024", "06-05-24", "99.99.2024", "Maybe in 2024 or so", True, "12", -1, "May"],
)
def test_a_time_that_can_be_read_in_no_way_or_several_is_none(value: object) -> None:
    assert seconds_of(value) is None


@given(st.text() | st.integers() | st.floats() | st.none() | st.datetimes())
def test_any_value_has_a_time_or_none(value: object) -> None:
    assert seconds_of(value) is None or isinstance(seconds_of(value), float)
