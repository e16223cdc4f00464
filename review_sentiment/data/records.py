"""A raw review: the record schema of Amazon Reviews 2023, which all sources yield.

https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023
"""

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Stars = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)]


def _encodable(text: str) -> str:
    """Reject half a surrogate pair, which JSON can contain but which can be neither hashed nor written."""
    text.encode()  # UnicodeEncodeError is a ValueError: pydantic reports it
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class ReviewRecord(BaseModel):
    """A raw review. Other fields, such as images, are ignored.

    Identifiers must be strings. A number is not converted, because an ASIN without its leading zeros is
    another product.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    rating: Stars
    text: Text
    parent_asin: Annotated[Text, Field(min_length=1)]
    title: Text | None = None
    asin: Text | None = None
    user_id: Text | None = None
    timestamp: int | None = None
    helpful_vote: int | None = None
    verified_purchase: bool | None = None


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
