"""What a column holds: the kinds of its values, how many are missing or equal, how long they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from review_sentiment.data.inspection.values import ValueKind, is_missing, kind_of, number_of

ColumnType = Literal[
    "empty", "number", "boolean", "date", "address", "identifier", "category", "text", "nested", "mixed"
]

DOMINANT = 0.95
"""Fraction of the values that must be of one kind; below it the column is mixed."""
MAX_CATEGORIES = 100
REPEATED = 0.5
"""Words are categories if at most this fraction of them is distinct, and they are few and short."""
MAX_CATEGORY_CHARACTERS = 40
STRINGS: tuple[ValueKind, ...] = ("words", "identifier", "address")
EXAMPLES = 3
MAX_EXAMPLE = 40
FIRST_EPOCH, LAST_EPOCH = 8e8, 2.2e9
"""Seconds since 1970 of dates from 1995 to 2039."""


@dataclass(frozen=True)
class ColumnProfile:
    """A column, by its values in `rows` sampled rows; `present` is the fraction that is not missing.

    `kinds` has the fraction of each kind among the values that are not missing, `distinct` the fraction of
    these that are different, `classes` the number of different ones. `characters` and `words` are means.
    `numbers` are the smallest and largest number, and whether all are whole or halves.
    """

    name: str
    type: ColumnType
    rows: int
    present: float
    kinds: Mapping[ValueKind, float]
    distinct: float
    classes: int
    characters: float
    words: float
    numbers: tuple[float, float, bool] | None
    values: frozenset[str]
    examples: tuple[str, ...]

    @property
    def is_epoch(self) -> bool:
        """Return whether all numbers may be seconds or milliseconds since 1970."""
        if self.type != "number" or self.numbers is None:
            return False
        least, most, _ = self.numbers
        return any(FIRST_EPOCH * unit <= least and most <= LAST_EPOCH * unit for unit in (1, 1_000))


def profile(name: str, values: Sequence[Any]) -> ColumnProfile:
    """Return the profile of a column; `values` are a random sample of it."""
    present = [value for value in values if not is_missing(value)]
    texts = [str(value).strip() for value in present]
    kinds = Counter(map(kind_of, present))
    different = Counter(texts)
    count = max(1, len(present))
    shares = {kind: kinds[kind] / count for kind in sorted(kinds)}
    characters = sum(map(len, texts)) / count
    numbers = [number for value in present if (number := number_of(value)) is not None]
    distinct = len(different) / count
    few = len(different) <= MAX_CATEGORIES and characters <= MAX_CATEGORY_CHARACTERS
    steps = all(2 * number % 1 == 0 for number in numbers)
    return ColumnProfile(
        name=name,
        type=_type(shares, is_category=few and (distinct <= REPEATED or len(different) == 1)),
        rows=len(values),
        present=len(present) / max(1, len(values)),
        kinds=shares,
        distinct=distinct,
        classes=len(different),
        characters=characters,
        words=sum(map(word_count, texts)) / count,
        numbers=(min(numbers), max(numbers), steps) if numbers else None,
        values=frozenset(different) if few else frozenset(),
        examples=tuple(shortened(text, MAX_EXAMPLE) for text in list(different)[:EXAMPLES]),
    )


def word_count(text: str) -> int:
    """Return the number of words; scripts without spaces have about one for two characters."""
    return len(text.split()) if text.isascii() else max(len(text.split()), _unspaced(text) // 2)


def _unspaced(text: str) -> int:
    """Return the characters of Chinese, Japanese and Thai."""
    return sum("\u3040" <= character <= "\u9fff" or "\u0e00" <= character <= "\u0e7f" for character in text)


def shortened(text: str, length: int) -> str:
    """Return a text on one line, cut to `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def _type(shares: Mapping[ValueKind, float], *, is_category: bool) -> ColumnType:
    if not shares:
        return "empty"
    # Words and identifiers are both strings: product names have digits now and then.
    strings = sum(shares.get(kind, 0.0) for kind in STRINGS)
    kind, share = max(shares.items(), key=lambda item: item[1])
    if strings >= DOMINANT:
        if kind == "address":
            return "address"
        if is_category:
            return "category"
        return "identifier" if kind == "identifier" else "text"
    if share < DOMINANT:
        return "mixed"
    return kind if kind in ("number", "boolean", "date") else "nested"
