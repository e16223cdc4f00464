"""A raw review: the record schema of Amazon Reviews 2023, which all sources yield.

https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticUseDefault

YES, NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")


def _encodable(text: str) -> str:
    """Reject half a surrogate pair, which JSON can contain but which can be neither hashed nor written."""
    text.encode()  # UnicodeEncodeError is a ValueError: pydantic reports it
    return text


def _number(value: Any) -> Any:
    """Return the number that a text holds: files made from CSV have "5.0"."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


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


Stars = Annotated[float, BeforeValidator(_number), Field(ge=1, le=5, allow_inf_nan=False)]
Text = Annotated[str, AfterValidator(_encodable)]
Identifier = Annotated[Text, BeforeValidator(_identifier)]


class ReviewRecord(BaseModel):
    """A raw review. Other fields, such as images and timestamps, are neither read nor checked.

    A missing text is an empty one. A value that can be read in one way only is read, such as a rating of "5"
    or an identifier that is a number.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    rating: Stars
    text: Annotated[Text, BeforeValidator(lambda value: "" if value is None else value)]
    parent_asin: Annotated[Identifier, Field(min_length=1)]
    title: Text | None = None
    user_id: Identifier | None = None
    verified_purchase: Annotated[bool | None, BeforeValidator(_yes_or_no)] = None


@dataclass(frozen=True)
class BrokenRecord:
    """A row that is not a valid review: its position and the reason."""

    place: str
    reason: str


def parse_json_line(line: bytes, place: str) -> ReviewRecord | BrokenRecord:
    """Parse one line of a `.jsonl` file; `place` is the file and the line number."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # also invalid UTF-8, huge numbers, deep nesting
        return BrokenRecord(place, "not JSON")
    return parse_row(row, place)


def parse_row(row: object, place: str) -> ReviewRecord | BrokenRecord:
    """Validate one decoded row against the schema."""
    try:
        return ReviewRecord.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "row"
        if first["type"] == "missing":
            return BrokenRecord(place, f"missing field: {field}")
        if first["type"].endswith(("_equal", "_than", "_short")):
            return BrokenRecord(place, f"value out of range: {field}")
        return BrokenRecord(place, f"wrong type: {field}")
