"""Every raw row becomes a review or a broken record with the reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from review_sentiment.data.columns import AMAZON, Columns
from review_sentiment.data.records import BrokenRecord, ReviewRecord, RowFormat

ROWS = RowFormat(AMAZON, has_stars=True)
ROW: dict[str, object] = {"rating": 5.0, "text": "Lovely.", "parent_asin": "0001234567"}
FIELDS = {"rating": "label", "parent_asin": "group", "user_id": "user"}
"""Of a record, by the columns of `AMAZON`."""
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
    assert isinstance(ROWS.json_line(raw, "here"), ReviewRecord | BrokenRecord)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*AMAZON.names(), "other"]), JSON_VALUES))
def test_any_field_values_become_a_review_or_a_broken_record(changes: dict[str, object]) -> None:
    assert isinstance(ROWS.json_line(line(**changes), "here"), ReviewRecord | BrokenRecord)


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
    assert isinstance(ROWS.json_line(raw, "here"), BrokenRecord)


@pytest.mark.parametrize("field", ["text", "title", "parent_asin", "user_id"])
def test_half_a_surrogate_pair_is_never_accepted_as_text(field: str) -> None:
    """Such a string can be neither hashed nor written: half an emoji would stop the run."""
    record = ROWS.json_line(line(**{field: "cut \ud83d"}), "here")
    if isinstance(record, ReviewRecord):
        getattr(record, FIELDS.get(field, field)).encode("utf-8")


def test_a_valid_line_fills_every_field() -> None:
    full = {
        "title": "Great",
        "user_id": "U1",
        "verified_purchase": True,
    }
    record = ROWS.json_line(line(**full), "here")
    assert isinstance(record, ReviewRecord)
    assert record.model_dump() == {
        "label": "5",
        "text": "Lovely.",
        "group": "0001234567",
        "title": "Great",
        "user": "U1",
        "time": None,
        "verified_purchase": True,
    }


@settings(max_examples=50)
@given(st.sampled_from(["helpful_vote", "asin", "images", "date"]), JSON_VALUES)
def test_fields_that_are_not_used_are_not_checked(field: str, value: object) -> None:
    assert ROWS.json_line(line(**{field: value}), "here") == ROWS.json_line(line(), "here")


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("rating", 4, "4"),
        ("rating", "4", "4"),
        ("rating", "4.0", "4"),
        ("rating", " 4 ", "4"),
        ("rating", 4.5, "4.5"),
        ("rating", None, ""),
        ("rating", "", ""),
        ("text", None, ""),
        ("title", None, None),
        ("parent_asin", 1234567, "1234567"),
        ("parent_asin", 1234567.0, "1234567"),
        ("user_id", 12, "12"),
        ("user_id", None, None),
        ("user_id", "", None),
        ("verified_purchase", "True", True),
        ("verified_purchase", "Y", True),
        ("verified_purchase", 0, False),
        ("verified_purchase", "unknown", None),
        ("verified_purchase", ["?"], None),
    ],
)
def test_a_value_that_can_be_read_in_one_way_is_read(field: str, value: object, read: object) -> None:
    record = ROWS.json_line(line(**{field: value}), "here")
    assert isinstance(record, ReviewRecord), record
    assert getattr(record, FIELDS.get(field, field)) == read


def test_a_numeric_looking_product_keeps_its_leading_zeros() -> None:
    record = ROWS.record(ROW, "here")
    assert isinstance(record, ReviewRecord)
    assert record.group == "0001234567"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent_asin": 1.5}, "wrong type: parent_asin"),
        ({"parent_asin": True}, "wrong type: parent_asin"),
        ({"parent_asin": None}, "missing field: parent_asin"),
        ({"user_id": ["U"]}, "wrong type: user_id"),
        ({"rating": "five"}, "wrong type: rating"),
        ({"rating": True}, "wrong type: rating"),
        ({"text": 5}, "wrong type: text"),
        ({"rating": 0}, "value out of range: rating"),
        ({"rating": "6"}, "value out of range: rating"),
        ({"rating": 5.5}, "value out of range: rating"),
        ({"parent_asin": ""}, "missing field: parent_asin"),
    ],
)
def test_the_reason_names_the_field_with_the_wrong_value(changes: dict[str, object], reason: str) -> None:
    assert ROWS.json_line(line(**changes), "Tops.jsonl line 7") == BrokenRecord("Tops.jsonl line 7", reason)


@pytest.mark.parametrize("rating", [float("inf"), "nan", "inf", "1e999", 10**400])
def test_a_rating_must_be_a_finite_number(rating: float) -> None:
    assert isinstance(ROWS.json_line(line(rating=rating), "here"), BrokenRecord)


@pytest.mark.parametrize("field", ["rating", "text", "parent_asin"])
def test_the_reason_names_a_missing_field(field: str) -> None:
    row = {name: value for name, value in ROW.items() if name != field}
    assert ROWS.record(row, "here") == BrokenRecord("here", f"missing field: {field}")


@pytest.mark.parametrize("raw", [b"[]", b"null", b"3", b'"text"'])
def test_json_that_is_not_an_object_has_the_wrong_type(raw: bytes) -> None:
    assert ROWS.json_line(raw, "here") == BrokenRecord("here", "wrong type: row")


def test_the_columns_of_a_table_are_read_by_their_names() -> None:
    rows = RowFormat(Columns(text="Message", label="Topic", user="From", title="Subject"), has_stars=False)
    row = {
        "Message": "It fails",
        "Topic": " Bug report ",
        "From": 7,
        "Subject": None,
        "title": 5,
        "group": [],
    }
    record = rows.record(row, "here")
    assert isinstance(record, ReviewRecord)
    assert (record.text, record.label, record.user) == ("It fails", "Bug report", "7")
    assert (record.title, record.group, record.verified_purchase) == (None, None, None)
    assert rows.record({"Topic": "Bug"}, "here") == BrokenRecord("here", "missing field: Message")
    assert rows.record({"Message": 5, "Topic": "Bug"}, "here") == BrokenRecord("here", "wrong type: Message")


@pytest.mark.parametrize(("value", "label"), [(3, "3"), (9.0, "9"), (True, "true"), (None, ""), ("x", "x")])
def test_a_label_that_is_no_rating_can_be_any_value(value: object, label: str) -> None:
    record = RowFormat(AMAZON, has_stars=False).record(ROW | {"rating": value}, "here")
    assert isinstance(record, ReviewRecord)
    assert record.label == label
