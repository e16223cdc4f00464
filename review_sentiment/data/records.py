"""A row of a source as a review, or the reason why it is not one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError, PydanticUseDefault

from review_sentiment.data.columns import Columns
from review_sentiment.data.labels import RATINGS, value_text

YES, NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")
UNREADABLE = "unreadable row"
OUT_OF_RANGE = "out_of_range"


def _encodable(text: str) -> str:
    """Reject half a surrogate pair, which JSON can contain but which can be neither hashed nor written."""
    text.encode()  # UnicodeEncodeError is a ValueError: pydantic reports it
    return text


def _stars(value: Any) -> str:
    """Return the text of a rating from 1 to 5. Files made from CSV have "5.0"."""
    number = float(value) if isinstance(value, str | Decimal) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("not a number")
    if not RATINGS[0] <= number <= RATINGS[-1]:
        raise PydanticCustomError(OUT_OF_RANGE, "a rating is from 1 to 5")
    return value_text(float(number))


def _identifier(value: Any) -> Any:
    """Return the text of a whole number. Files made from a table with gaps have 123.0 for 123."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _yes_or_no(value: Any) -> Any:
    """Return what a value means. Only one slice of the evaluation uses it: an unreadable one is missing."""
    word = str(value).strip().lower()
    if word not in YES + NO:
        raise PydanticUseDefault
    return word in YES


Text = Annotated[str, AfterValidator(_encodable)]
Identifier = Annotated[Text, BeforeValidator(_identifier)]


class ReviewRecord(BaseModel):
    """A raw review; `label` is the source's value as `value_text` writes it, empty if it is missing.

    A missing text is an empty one. A value that can be read in one way only is read, such as an identifier
    that is a number. `group` is the product, customer or thread, None if the source has no such column.
    `time` is what the source has, for `times.seconds_of`.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    label: Annotated[Text, BeforeValidator(value_text)] = ""
    text: Annotated[Text, BeforeValidator(lambda value: "" if value is None else value)]
    group: Identifier | None = None
    title: Text | None = None
    user: Annotated[Identifier | None, BeforeValidator(lambda value: None if value == "" else value)] = None
    time: Any = None
    verified_purchase: Annotated[bool | None, BeforeValidator(_yes_or_no)] = None


class RatedRecord(ReviewRecord):
    """A review whose label is a rating from 1 to 5, such as 4, "4" or 4.0."""

    label: Annotated[str, BeforeValidator(_stars)]


@dataclass(frozen=True)
class BrokenRecord:
    """A row that is not a valid review: its position, the reason, and details if the reason is general."""

    place: str
    reason: str
    detail: str = ""


ROLES = tuple(ReviewRecord.model_fields)


@dataclass(frozen=True)
class RowFormat:
    """How the rows of a source become records; `has_stars` if labels are ratings from 1 to 5."""

    columns: Columns
    has_stars: bool

    def json_line(self, line: bytes, place: str) -> ReviewRecord | BrokenRecord:
        """Parse one line of a `.jsonl` file; `place` is the file and the line number."""
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # also invalid UTF-8, huge numbers, deep nesting
            return BrokenRecord(place, "not JSON")
        return self.record(row, place)

    def record(self, row: object, place: str) -> ReviewRecord | BrokenRecord:
        """Validate one row: a mapping of columns to values."""
        if not isinstance(row, Mapping):
            return BrokenRecord(place, "wrong type: row")
        values = {}
        for role in ROLES:
            column = getattr(self.columns, role)
            if column is not None and column in row:
                values[role] = row[column]
        if self.columns.group is not None and not value_text(values.get("group")):
            return BrokenRecord(place, f"missing field: {self.columns.group}")
        unlabelled = "label" in values and not value_text(values["label"])
        try:
            if self.has_stars and not unlabelled:
                return RatedRecord.model_validate(values)
            return ReviewRecord.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            column = getattr(self.columns, str(first["loc"][0]))
            problems = {"missing": "missing field", OUT_OF_RANGE: "value out of range"}
            return BrokenRecord(place, f"{problems.get(first['type'], 'wrong type')}: {column}")
