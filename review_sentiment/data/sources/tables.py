"""The rows of a table in a file of any format that `data/files` reads, as records."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.recognition import content_of, packing_of
from review_sentiment.data.files.review_file import ReviewRow
from review_sentiment.data.records import UNREADABLE, BrokenRecord, ReviewRecord, RowFormat
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError

ROWS_PER_CHUNK = 1_000
ROWS_WITH_COLUMNS = 10_000
"""Rows that show the columns of a JSON file, whose rows name their own."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into an error for the user.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


class LocalFile:
    """A plain file, read in ranges; its name is for messages."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.name = name or path.name
        self.size = path.stat().st_size
        self._path = path

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`.

        Raises:
            DataError: the file cannot be read, or became shorter.
        """
        with readable(self._path), self._path.open("rb") as file:
            data = os.pread(file.fileno(), stop - start, start)
        if len(data) != stop - start:
            raise DataError(f"{self._path} changed while it was read. Run again.")
        return data


def is_plain_json_lines(path: Path) -> bool:
    """Return whether a file can be read from any byte, so that a sample need not read it whole.

    Raises:
        UsageError: the file is of a kind that cannot be read.
        DataError: it cannot be read.
    """
    with readable(path):
        return packing_of(path) is None and content_of(path) == "json lines"


def table_rows(path: Path, rows: RowFormat) -> Iterator[tuple[ReviewRow, str]]:
    """Yield each row with the values of the format's columns, and its place for messages.

    Raises:
        UsageError: the file is of a kind that cannot be read.
        DataError: it is damaged.
    """
    with readable(path):
        for row in open_reviews(path).rows(rows.columns.names()):
            yield row, f"{path.name} line {row.line}" if row.line else f"{path.name} row {row.number}"


def require_utf8(path: Path) -> int:
    """Return the lines or rows of a table, which takes reading it, and refuse another encoding.

    Raises:
        DataError: it is not in UTF-8, or damaged.
    """
    with readable(path):
        return open_reviews(path).count()


def columns_in(path: Path) -> tuple[str, ...]:
    """Return the columns of a table; of JSON, those of its first rows.

    Raises:
        UsageError: the file is of a kind that cannot be read.
        DataError: it is damaged.
    """
    with readable(path):
        file = open_reviews(path)
        if file.columns is not None:
            return file.columns
        first = islice(file.rows(), ROWS_WITH_COLUMNS)
        return tuple(dict.fromkeys(name for row in first for name in row.values))


def read_table(path: Path, rows: RowFormat) -> Reading:
    """Read a table from start to end.

    Raises:
        UsageError: the file is of a kind that cannot be read.
        DataError: it is damaged, or not in UTF-8.
    """
    units, size = require_utf8(path), path.stat().st_size
    return Reading(_chunks(path, rows, size / max(1, units)), shuffled=False, size=size)


def _chunks(path: Path, rows: RowFormat, bytes_per_unit: float) -> Iterator[Chunk]:
    found = table_rows(path, rows)
    while batch := list(islice(found, ROWS_PER_CHUNK)):
        units = sum(row.units for row, _ in batch)
        yield Chunk([_record(row, place, rows) for row, place in batch], round(units * bytes_per_unit))


def _record(row: ReviewRow, place: str, rows: RowFormat) -> ReviewRecord | BrokenRecord:
    return BrokenRecord(place, UNREADABLE, row.problem) if row.problem else rows.record(row.values, place)
