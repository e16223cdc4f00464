"""Tables whose categories are the values of a column: split once into one file per category.

Each category is read by a step of its own, and a table cannot be read for one category only. The files are in
the cache directory, for this user only, under a key of the tables' content and the columns: JSON lines of a
row's place and the values of the mapped columns, or what is wrong with it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from review_sentiment.cache import cache_directory, finish, remove_unused, unfinished_directory
from review_sentiment.data.labels import value_text
from review_sentiment.data.records import UNREADABLE, BrokenRecord, ReviewRecord, RowFormat
from review_sentiment.data.sources.lines import read_lines
from review_sentiment.data.sources.source import Reading
from review_sentiment.data.sources.tables import LocalFile, require_utf8, table_rows
from review_sentiment.errors import UsageError
from review_sentiment.fingerprints import combined, file_fingerprint
from review_sentiment.hashing import stable_hash

LAYOUT = "1"
"""Part of the key: another layout of the files is another split."""
INDEX = "index.json"
MAX_CATEGORIES = 1_000
LONGEST_CATEGORY = 100
BUFFERED_CHARACTERS = 1 << 24
ANNOUNCED_BYTES = 20_000_000

logger = logging.getLogger(__name__)


class Index(BaseModel):
    """The file of each category, and the rows that are in none because their value is missing."""

    files: dict[str, str]
    without_category: int


class CategoryFiles:
    """The rows of some tables by the value of the category column."""

    def __init__(self, name: str, paths: Sequence[Path], rows: RowFormat) -> None:
        self._name = name
        self._paths = paths
        self._rows = rows

    def categories(self) -> tuple[str, ...]:
        """Return the values, sorted.

        Raises:
            UsageError: the column has too many or too long values to be categories.
            DataError: a table cannot be read.
        """
        return tuple(sorted(self._index.files))

    def file(self, category: str) -> Path:
        """Return the file with the rows of a category."""
        return self._directory / self._index.files[category]

    def read(self, category: str, seed: int) -> Reading:
        """Start to read a category: a large one in random blocks."""
        file = LocalFile(self.file(category), category)
        return read_lines(file, _StoredRows(self._rows.columns, self._rows.has_stars), seed)

    @cached_property
    def _directory(self) -> Path:
        fingerprints = tuple((path.name, file_fingerprint(path)) for path in self._paths)
        columns = ("columns", repr((LAYOUT, self._rows.columns)))
        return cache_directory() / "tables" / combined((*fingerprints, columns))

    @cached_property
    def _index(self) -> Index:
        index = self._directory / INDEX
        if index.is_file():
            self._directory.touch()
        else:
            size = sum(path.stat().st_size for path in self._paths)
            if size > ANNOUNCED_BYTES:
                column = self._rows.columns.category
                logger.warning("Splitting %s by '%s', once (%.0f MB)", self._name, column, size / 1e6)
            parent = self._directory.parent
            remove_unused(parent)
            with unfinished_directory(parent) as unfinished:
                self._split(unfinished)
                finish(unfinished, self._directory)
        return Index.model_validate_json(index.read_text(encoding="utf-8"))

    def _split(self, directory: Path) -> None:
        """Read the tables once, and write the rows of each category to a file."""
        files = _Files(directory)
        column, category, missing = str(self._rows.columns.category), "", 0
        early: list[str] = []
        for path in self._paths:
            require_utf8(path)
            for row, place in table_rows(path, self._rows):
                if not row.problem:
                    category = value_text(row.values.get(column))
                    if len(category) > LONGEST_CATEGORY:
                        raise UsageError(
                            f"data.columns.category: {place}: the column '{column}' has a value of "
                            f"{len(category)} characters, which is a text and no category. Name another "
                            "column, or none."
                        )
                known = [name for name in self._rows.columns.names() if name in row.values]
                stored = row.problem or {name: _plain(row.values[name]) for name in known}
                line = json.dumps([place, stored], ensure_ascii=False)
                if category:
                    files.add(category, [*early, line])
                    early = []
                elif row.problem:
                    # It counts for the category of the row before it, or for the first one.
                    early.append(line)
                else:
                    missing += 1
        files.flush()
        if missing:
            logger.warning("warning: %s: %d rows have no '%s' and are left out", self._name, missing, column)
        index = Index(files=files.names, without_category=missing)
        (directory / INDEX).write_text(index.model_dump_json(), encoding="utf-8")


class _StoredRows(RowFormat):
    """Reads the rows that `CategoryFiles` has written."""

    def json_line(self, line: bytes, place: str) -> ReviewRecord | BrokenRecord:
        """Parse a line of a category's file; its place is that in the table."""
        place, stored = json.loads(line)
        return (
            BrokenRecord(place, UNREADABLE, stored) if isinstance(stored, str) else self.record(stored, place)
        )


class _Files:
    """Files in a directory, written through a buffer, by category."""

    def __init__(self, directory: Path) -> None:
        self.names: dict[str, str] = {}
        self._directory = directory
        self._buffered: dict[str, list[str]] = {}
        self._characters = 0

    def add(self, category: str, lines: list[str]) -> None:
        """Write lines to the file of a category.

        Raises:
            UsageError: there are too many categories.
        """
        if category not in self.names:
            if len(self.names) == MAX_CATEGORIES:
                raise UsageError(
                    f"data.columns.category: the column has more than {MAX_CATEGORIES:,} different values. "
                    "Name a column with fewer, or none: each category is read in a step of its own."
                )
            self.names[category] = f"{stable_hash(category):016x}.jsonl"
        self._buffered.setdefault(category, []).extend(lines)
        self._characters += sum(map(len, lines))
        if self._characters > BUFFERED_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Empty the buffer."""
        for category, lines in self._buffered.items():
            with (self._directory / self.names[category]).open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        self._buffered, self._characters = {}, 0


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; dates, decimals and nested values as their text."""
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
