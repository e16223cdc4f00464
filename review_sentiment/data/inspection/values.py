"""What a single value of a table is: missing, a number, a date, an address, an identifier or words."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any, Literal

ValueKind = Literal["number", "boolean", "date", "address", "identifier", "words", "nested"]

MISSING = {"", "nan", "NaN", "NAN", "null", "NULL", "N/A", "n/a", "NA", "<NA>", "#N/A"}
"""What programs write for a missing value. `None` and `none` are also names of classes."""
TRUTH = {
    "true",
    "false",
    "yes",
    "no",
    "ja",
    "nein",
    "oui",
    "non",
    "sí",
    "si",
    "sim",
    "não",
    "tak",
    "nie",
    "はい",
}
LONGEST_DATE = 40

_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:[eE][-+]?\d+)?")
_DATE = re.compile(
    r"""(?:
        \d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T\s].*)?              # 2024-05-31 10:00
      | \d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})(?:,?\s.*)?     # 31.05.2024, 5/31/24
      | \d{4}年\d{1,2}月\d{1,2}日.*                             # 2024年5月31日
      | (?:\w{2,9}\.?,?\s)?\d{1,2}\.?[-\s](?:de\s)?[^\W\d]{3,10}\.?,?[-\s](?:de\s)?(?:\d{4}|\d{2})(?:[,\s].*)?
      | [^\W\d]{3,10}\.?\s\d{1,2},?\s\d{4}(?:[,\s].*)?         # May 31, 2024
    )""",
    re.VERBOSE,
)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|[\w.+-]+@[\w-]+\.[\w.]+", re.IGNORECASE)


def is_missing(value: Any) -> bool:
    """Return whether a value is missing or has only white space."""
    if isinstance(value, str):
        return not value or value.strip() in MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def number_of(value: Any) -> float | None:
    """Return the number that a value is or writes, with a decimal point or comma, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value.strip().replace(",", "."))
    return None


def kind_of(value: Any) -> ValueKind:
    """Return what a value that is not missing is."""
    if isinstance(value, str):
        return _kind_of_text(value.strip())
    if isinstance(value, bool):
        return "boolean"
    if number_of(value) is not None:
        return "number"
    return "date" if isinstance(value, date) else "nested"


def _kind_of_text(text: str) -> ValueKind:
    if _NUMBER.fullmatch(text):
        return "number"
    if text.casefold() in TRUTH:
        return "boolean"
    if len(text) <= LONGEST_DATE and _DATE.fullmatch(text):
        return "date"
    if _ADDRESS.fullmatch(text):
        return "address"
    # One piece with a digit: P00371, 7f3c-11. Words have spaces or no digits.
    is_identifier = " " not in text and any(character.isdecimal() for character in text)
    return "identifier" if is_identifier and text.isascii() else "words"
