"""One review as it comes from a source: the record schema of Amazon Reviews 2023.

Every source yields this schema, so that everything behind it is written once.
https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023
"""

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Stars = Annotated[float, Field(ge=1, le=5, allow_inf_nan=False)]


class ReviewRecord(BaseModel):
    """A raw review. Columns that nothing needs (images) are ignored.

    Identifiers are strings and never converted from numbers: a numeric ASIN
    that lost its leading zeros names another product.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    rating: Stars
    text: str
    parent_asin: Annotated[str, Field(min_length=1)]
    title: str | None = None
    asin: str | None = None
    user_id: str | None = None
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
    except (json.JSONDecodeError, UnicodeDecodeError):
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
