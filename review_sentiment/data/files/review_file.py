"""What a reader makes of a file of reviews: numbered rows, in the order of the file.

One reader for each format: `csv_file.py`, `json_file.py`, `parquet_file.py`. All of them return every row. A
row that cannot be read has a `problem`, and costs only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from review_sentiment.errors import UsageError

TEXT, TITLE = "text", "title"


@dataclass(frozen=True)
class ReviewColumns:
    """The columns with the text and the title of a review; None if there are no titles."""

    text: str = TEXT
    title: str | None = TITLE

    def names(self) -> tuple[str, ...]:
        """Return the columns."""
        return (self.text,) if self.title is None else (self.title, self.text)

    def text_of(self, values: Mapping[str, Any]) -> Any:
        """Return the text among the values of a row, or None."""
        return values.get(self.text)

    def title_of(self, values: Mapping[str, Any]) -> Any:
        """Return the title among the values of a row, or None."""
        return None if self.title is None else values.get(self.title)


Added = Mapping[str, Sequence[str | float | bool]]
"""The values that scoring adds to rows, by column."""


class ReviewRow(NamedTuple):
    """A row of a file: its number and first line (both from 1; none in parquet), its values or its problem.

    `raw` is what a text file has for the row. `units` is what the row adds to `ReviewFile.count`. `origin`
    is for the reader's own `write`. It is a tuple because a frozen dataclass takes 2 microseconds more to
    make, a sixth of the time of reading and writing a row.
    """

    number: int
    values: Mapping[str, Any] = MappingProxyType({})
    problem: str = ""
    line: int | None = None
    raw: str = ""
    units: int = 1
    origin: Any = None


@dataclass(frozen=True)
class Survey:
    """A whole file: its number of rows, the sum of their `units`, and the columns of its good rows."""

    rows: int
    units: int
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rows: Iterable[ReviewRow], columns: tuple[str, ...]) -> Survey:
        """Return that of rows which all have the same columns."""
        count = units = 0
        for row in rows:
            count, units = count + 1, units + row.units
        return cls(count, units, columns)


class ReviewFile(Protocol):
    """A file of one format."""

    ending: str
    """The ending of an output of this format."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Return the columns by the header; None if each row names its own."""
        ...

    def rows(self, columns: Sequence[str] = (), good: Iterable[bool] = ()) -> Iterator[ReviewRow]:
        """Yield every row with the values of some columns at least, those that it has.

        `good` says of the first rows whether an earlier reading found no problem. Such a row may come without
        values; `write` and `values_of` take it as it is.
        """
        ...

    def count(self) -> int:
        """Return the sum of `units` over all rows, counted without the reader of `rows`.

        Raises:
            DataError: the file is in another encoding than UTF-8.
        """
        ...

    def survey(self) -> Survey:
        """Read the whole file and return what it has, without keeping a row.

        Raises:
            DataError: the file is damaged.
        """
        ...

    def values_of(self, row: ReviewRow) -> Mapping[str, Any]:
        """Return all values of a row; `row.values` may have only some of them."""
        ...

    def write(self, path: Path, rows: Sequence[ReviewRow], added: Added) -> None:
        """Write rows of this file with added values, as a part of an output."""
        ...

    def join(self, parts: Sequence[Path], output: Path, added: Sequence[str]) -> None:
        """Concatenate parts to an output with the added columns, without reading them whole."""
        ...


def refuse_equal(name: str, columns: Sequence[str]) -> None:
    """Refuse equal headings.

    Raises:
        UsageError: the values of one column would be lost.
    """
    equal = sorted({name for name in columns if columns.count(name) > 1})
    if equal:
        raise UsageError(
            f"{name} has several columns of the same name: {', '.join(map(repr, equal))}. Rename them."
        )
