"""Which reviews can be scored: one rule for files, for `serve`, and for any other caller."""

from __future__ import annotations

import unicodedata
from math import isnan

import pandas as pd

from review_sentiment.data.cleaning import clean_text

INVISIBLE = frozenset({"Cc", "Cf"})
"""Unicode categories that show nothing: control characters, and marks such as the zero-width space."""


def problem_of(text: object, title: object = None) -> str:
    """Return why a review cannot be scored, or an empty string if it can.

    A missing value is None, NaN or pandas' NA. A title may be missing or empty, a text may not. A text of
    which the cleaning of `clean_text` leaves nothing visible is empty: the model would see no review.
    """
    if _missing(text):
        return "`text` is missing"
    if problem := _problem_of_value("text", text):
        return problem
    if not _visible(str(text)):
        return "`text` is empty"
    if _has_mark(str(text)) and not _visible(clean_text(str(text))):
        return "`text` is empty after cleaning: it has only tags, shop markers or white space"
    return "" if _missing(title) else _problem_of_value("title", title)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and isnan(value))


def _problem_of_value(name: str, value: object) -> str:
    if not isinstance(value, str):
        return f"`{name}` must be a string, got {type(value).__name__}"
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError:
        return f"`{name}` has half a surrogate pair, which is not a character"
    return ""


def _has_mark(text: str) -> bool:
    # What `clean_text` can remove besides white space starts with one of these. It takes 30 microseconds.
    return "<" in text or "&" in text or "[[" in text


def _visible(text: str) -> bool:
    return text[:1].isalnum() or any(
        unicodedata.category(character) not in INVISIBLE for character in text if not character.isspace()
    )
