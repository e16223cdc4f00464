"""Tables on this machine: each file is a category, or a column has the categories.

--set data.source=reviews.csv
--set data.source=path/to/directory
--set data.source='path/to/*.jsonl.zst'
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from review_sentiment.data.records import RowFormat
from review_sentiment.data.sources.category_files import CategoryFiles
from review_sentiment.data.sources.lines import read_lines
from review_sentiment.data.sources.source import Reading
from review_sentiment.data.sources.tables import LocalFile, columns_in, is_plain_json_lines, read_table
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import SHORT_DIGITS, file_fingerprint

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Endings of the files that are read in a directory. The reader goes by the content."""
COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


class LocalFiles:
    """A file, the tables of a directory, or the files that match a pattern."""

    needs_names = False

    def __init__(self, pattern: str, rows: RowFormat, copied_from: str | None = None) -> None:
        """Find the files; messages name the address that they were copied from, if there is one.

        Raises:
            UsageError: there is no such file or directory, and no file matches the pattern.
        """
        self.name = copied_from or pattern
        self._copied_from = copied_from
        self._rows = rows
        place = Path(pattern).expanduser()
        if place.is_dir():
            found = [path for path in place.iterdir() if is_table(path.name)]
        else:
            found = [place] if place.is_file() else list(place.parent.glob(place.name))
        self._paths = sorted(path for path in found if path.is_file() and _stem(path))
        if not place.is_dir() and not self._paths:
            raise UsageError(
                f"data.source: '{pattern}' is neither a source nor a file, and no file matches it. Use "
                "'embedded', 'hub', 'ucsd', or a file, pattern or directory of tables (CSV, JSON, Parquet)."
            )

    def categories(self) -> tuple[str, ...]:
        """Return the values of the category column, or the names of the files without endings, sorted."""
        if self._by_column is not None:
            return self._by_column.categories()
        return tuple(sorted({_stem(path) for path in self._paths}))

    def revision(self, category: str) -> str:
        """Return the size of the category's rows and a hash of their content.

        Raises:
            UsageError: several files are named after the category.
            DataError: the file cannot be read.
        """
        path = self._file(category)
        fingerprint = file_fingerprint(path)[:SHORT_DIGITS]
        return f"{path.stat().st_size} bytes, {fingerprint}"

    def require_revision(self, category: str, revision: str) -> None:
        """Check that the rows have not changed since the run started, which decided what the cache holds.

        Raises:
            DataError: they have.
        """
        if category not in self.categories() or self.revision(category) != revision:
            name = self.name if self._by_column else self._copied_from or self._file(category)
            raise DataError(f"{name} changed after the start of the run. Run again.")

    def read(self, category: str, seed: int) -> Reading:
        """Start to read the category: a large plain file of JSON lines in random blocks, others whole."""
        if self._by_column is not None:
            return self._by_column.read(category, seed)
        path = self._file(category)
        if not path.stat().st_size:
            return Reading(iter(()), shuffled=False, size=0)
        if is_plain_json_lines(path):
            return read_lines(LocalFile(path), self._rows, seed)
        return read_table(path, self._rows)

    def require_columns(self, roles: Sequence[str] = ()) -> None:
        """Check that every table has the columns.

        Raises:
            UsageError: one does not, or it is of a kind that cannot be read.
        """
        for path in self._paths:
            if path.stat().st_size:
                self._rows.columns.require(columns_in(path), self._copied_from or str(path), roles)

    @cached_property
    def _by_column(self) -> CategoryFiles | None:
        if self._rows.columns.category is None:
            return None
        self.require_columns()
        return CategoryFiles(self.name, self._paths, self._rows)

    def _file(self, category: str) -> Path:
        """Return the one file of a category."""
        if self._by_column is not None:
            return self._by_column.file(category)
        paths = [path for path in self._paths if _stem(path) == category]
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise UsageError(
                f"data.source: {self.name} has several files for the category '{category}': {names}. Keep "
                "one of them, or choose one kind with a pattern such as 'directory/*.jsonl.gz'."
            )
        return paths[0]


def is_table(name: str) -> bool:
    """Return whether the name of a file says that it is a table."""
    return name.lower().endswith(_endings())


def _endings() -> tuple[str, ...]:
    return tuple(table + packing for table in TABLES for packing in ("", *COMPRESSED))


def _stem(path: Path) -> str:
    """Return the name of a file without its endings; empty for a name that is no category.

    A name comes in composed characters (NFC), as settings do: macOS decomposes them. A name that is not
    Unicode can be neither logged nor stored.
    """
    ending = next((one for one in _endings() if path.name.lower().endswith(one)), path.suffix)
    name = unicodedata.normalize("NFC", path.name[: len(path.name) - len(ending)].strip())
    return "" if any(unicodedata.category(character) == "Cs" for character in name) else name
