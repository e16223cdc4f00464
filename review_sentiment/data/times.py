"""When a review was written, as tables write it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Any

from review_sentiment.data.inspection.column_profile import FIRST_EPOCH, LAST_EPOCH

MILLISECONDS = 1_000
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DAY_MONTH_YEAR = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,?\s+(\d{1,2}:\d{2}(?::\d{2})?))?")
_YEAR = re.compile(r"\d{4}")
_MONTH = re.compile(r"[A-Za-z]{3}")


def seconds_of(value: Any) -> float | None:
    """Return a time in seconds since 1970, or None if it can be read in no way or in more than one.

    It may be a date or datetime, ISO 8601, 31.05.2024, a date in English that names the month, or seconds or
    milliseconds since 1970. 5/6/2024 is two days. A time without a zone is taken as UTC.
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC).timestamp()
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return _of_epoch(float(text))
    found = _parsed(text)
    return None if found is None else seconds_of(found)


def _of_epoch(number: float) -> float | None:
    for unit in (1, MILLISECONDS):
        if FIRST_EPOCH <= number / unit <= LAST_EPOCH:
            return number / unit
    return None


def _parsed(text: str) -> datetime | None:
    try:
        if found := _DAY_MONTH_YEAR.fullmatch(text):
            day, month, year, clock = found.groups()
            return datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{clock or '00:00':0>5}")
        return datetime.fromisoformat(text)
    except ValueError:
        if not (_MONTH.search(text) and _YEAR.search(text)):
            return None
    from dateutil.parser import ParserError, parse  # type: ignore[import-untyped]

    try:
        found_in_words: datetime = parse(text, default=datetime(1970, 1, 1))
    except (ParserError, OverflowError):
        return None
    return found_in_words
