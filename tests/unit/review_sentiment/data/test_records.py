"""Every raw row becomes a review or a broken record with the reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review_sentiment.data.records import BrokenRecord, ReviewRecord, parse_json_line, parse_row

ROW: dict[str, object] = {"rating": 5.0, "text": "Lovely.", "parent_asin": "0001234567"}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def line(**changes: object) -> bytes:
    """Return a valid line with some fields changed."""
    return json.dumps(ROW | changes).encode()


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_any_bytes_become_a_review_or_a_broken_record(raw: bytes) -> None:
    assert isinstance(parse_json_line(raw, "here"), ReviewRecord | BrokenRecord)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*ReviewRecord.model_fields, "other"]), JSON_VALUES))
def test_any_field_values_become_a_review_or_a_broken_record(changes: dict[str, object]) -> None:
    assert isinstance(parse_json_line(line(**changes), "here"), ReviewRecord | BrokenRecord)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(b'{"rating": ' + b"1" * 5_000 + b"}", id="number with too many digits"),
        pytest.param(b"\xff\xfe\x00", id="not UTF-8"),
        pytest.param(b'{"rating": 5.0, "te', id="truncated"),
    ],
)
def test_a_line_that_cannot_be_decoded_is_broken(raw: bytes) -> None:
    assert isinstance(parse_json_line(raw, "here"), BrokenRecord)


@pytest.mark.parametrize("field", ["text", "title", "parent_asin", "user_id"])
def test_half_a_surrogate_pair_is_never_accepted_as_text(field: str) -> None:
    """Such a string can be neither hashed nor written: half an emoji would stop the run."""
    record = parse_json_line(line(**{field: "cut \ud83d"}), "here")
    if isinstance(record, ReviewRecord):
        getattr(record, field).encode("utf-8")


def test_a_valid_line_fills_every_field() -> None:
    full = {
        "title": "Great",
        "user_id": "U1",
        "verified_purchase": True,
    }
    record = parse_json_line(line(**full), "here")
    assert isinstance(record, ReviewRecord)
    assert record.model_dump() == ROW | full


@settings(max_examples=50)
@given(st.sampled_from(["timestamp", "helpful_vote", "asin", "images", "date"]), JSON_VALUES)
def test_fields_that_are_not_used_are_not_checked(field: str, value: object) -> None:
    assert parse_json_line(line(**{field: value}), "here") == parse_json_line(line(), "here")


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("rating", 4, 4.0),
        ("rating", "4", 4.0),
        ("rating", "4.0", 4.0),
        ("rating", " 4 ", 4.0),
        ("text", None, ""),
        ("title", None, None),
        ("parent_asin", 1234567, "1234567"),
        ("parent_asin", 1234567.0, "1234567"),
        ("user_id", 12, "12"),
        ("user_id", None, None),
        ("verified_purchase", "True", True),
        ("verified_purchase", "Y", True),
        ("verified_purchase", 0, False),
        ("verified_purchase", "unknown", None),
        ("verified_purchase", ["?"], None),
    ],
)
def test_a_value_that_can_be_read_in_one_way_is_read(field: str, value: object, read: object) -> None:
    record = parse_json_line(line(**{field: value}), "here")
    assert isinstance(record, ReviewRecord), record
    assert getattr(record, field) == read


def test_a_numeric_looking_product_keeps_its_leading_zeros() -> None:
    record = parse_row(ROW, "here")
    assert isinstance(record, ReviewRecord)
    assert record.parent_asin == "0001234567"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent_asin": 1.5}, "wrong type: parent_asin"),
        ({"parent_asin": True}, "wrong type: parent_asin"),
        ({"parent_asin": None}, "wrong type: parent_asin"),
        ({"user_id": ["U"]}, "wrong type: user_id"),
        ({"rating": "five"}, "wrong type: rating"),
        ({"rating": ""}, "wrong type: rating"),
        ({"rating": None}, "wrong type: rating"),
        ({"rating": True}, "wrong type: rating"),
        ({"text": 5}, "wrong type: text"),
        ({"rating": 0}, "value out of range: rating"),
        ({"rating": "6"}, "value out of range: rating"),
        ({"rating": 5.5}, "value out of range: rating"),
        ({"parent_asin": ""}, "value out of range: parent_asin"),
    ],
)
def test_the_reason_names_the_field_with_the_wrong_value(changes: dict[str, object], reason: str) -> None:
    assert parse_json_line(line(**changes), "Tops.jsonl line 7") == BrokenRecord("Tops.jsonl line 7", reason)


@pytest.mark.parametrize("rating", [float("nan"), float("inf"), "nan", "inf", "1e999"])
def test_a_rating_must_be_a_finite_number(rating: float) -> None:
    assert isinstance(parse_json_line(line(rating=rating), "here"), BrokenRecord)


@pytest.mark.parametrize("field", ["rating", "text", "parent_asin"])
def test_the_reason_names_a_missing_field(field: str) -> None:
    row = {name: value for name, value in ROW.items() if name != field}
    assert parse_row(row, "here") == BrokenRecord("here", f"missing field: {field}")


@pytest.mark.parametrize("raw", [b"[]", b"null", b"3", b'"text"'])
def test_json_that_is_not_an_object_has_the_wrong_type(raw: bytes) -> None:
    assert parse_json_line(raw, "here") == BrokenRecord("here", "wrong type: row")
