"""One review as it comes from a source: the record schema of Amazon Reviews 2023.

Every source yields this schema, so that everything behind it is written once.
https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023
"""

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Stars = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)]


def _encodable(text: str) -> str:
    """Refuse half a surrogate pair, which JSON can hold and no file or hash can."""
    text.encode()  # UnicodeEncodeError is a ValueError: pydantic reports it
    return text


Text = Annotated[str, AfterValidator(_encodable)]


class ReviewRecord(BaseModel):
    """A raw review. Columns that nothing needs (images) are ignored.

    Identifiers are strings and never converted from numbers: a numeric ASIN
    that lost its leading zeros names another product.
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
    """A row that is not a review: where it stands and why it cannot be read."""

    place: str
    reason: str


def parse_json_line(line: bytes, place: str) -> ReviewRecord | BrokenRecord:
    """Parse one line of a `.jsonl` file; `place` is its file and line number."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # also broken UTF-8, huge numbers, deep nesting
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
