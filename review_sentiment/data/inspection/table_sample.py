"""The rows that an inspection looks at: all rows of a small table, a random sample of a large one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.csv_file import CsvFile
from review_sentiment.data.files.json_file import JsonFile
from review_sentiment.data.files.parquet_file import ParquetFile
from review_sentiment.data.files.recognition import content_of, opened
from review_sentiment.data.files.review_file import ReviewFile, ReviewRow
from review_sentiment.data.inspection.blocks import (
    blocks_of,
    random_block_numbers,
    rows_of_blocks,
    unpacked_bytes,
)
from review_sentiment.errors import DataError, UsageError

WHOLE_ROWS = 120_000
"""A table of at most about this many rows is read whole."""
SAMPLE_ROWS = 25_000
"""Rows of the sample of a larger table: shares are within 0.7 points (2 standard errors, sqrt(0.25 / n))."""
HEAD_BYTES = 1 << 20
PROBLEMS_SHOWN = 3
MAX_COLUMNS = 1_000
Column = list[Any]


@dataclass(frozen=True)
class TableSample:
    """Rows by column, in which None stands for a missing value.

    `rows` is the number of rows of the table, estimated unless `exact`. `unreadable` counts the rows of the
    sample that could not be read, `problems` has reasons for some of them.
    """

    source: str
    files: tuple[str, ...]
    columns: dict[str, Column]
    sampled: int
    rows: int
    exact: bool
    unreadable: int
    problems: tuple[str, ...]

    def shuffled(self, size: int, rng: Random) -> dict[str, Column]:
        """Return at most `size` random rows, by column."""
        chosen = rng.sample(range(self.sampled), min(size, self.sampled))
        return {name: [values[index] for index in chosen] for name, values in self.columns.items()}


def read_sample(source: Path, seed: int, name: str | None = None) -> TableSample:
    """Read a file, or the files of a directory, which have the same columns; `name` is for the report.

    Raises:
        UsageError: the file does not exist or has no rows, or a directory's files have different columns.
        DataError: a file is damaged, or not in UTF-8.
    """
    paths = _files(source)
    files = [open_reviews(path) for path in paths]
    _require_equal_columns(paths, files)
    sizes = [_size(path, file) for path, file in zip(paths, files, strict=True)]
    about = sum(rows for rows, _ in sizes)
    fraction = 1.0 if about <= WHOLE_ROWS else SAMPLE_ROWS / about
    reading = _Reading(Random(seed), fraction)
    for path, file, (_, size) in zip(paths, files, sizes, strict=True):
        reading.add(path, file, size)
    found = reading.sample(name or str(source), tuple(path.name for path in paths))
    if not found.sampled:
        what = f" ({'; '.join(found.problems)})" if found.problems else ""
        raise UsageError(f"{source} has no rows that can be read{what}. Inspect a file with rows.")
    return found


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    files = sorted(path for path in source.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise UsageError(f"{source} has no files. Inspect a directory with CSV, JSON or Parquet files.")
    return files


def _require_equal_columns(paths: Sequence[Path], files: Sequence[ReviewFile]) -> None:
    known = [(path, set(file.columns)) for path, file in zip(paths, files, strict=True) if file.columns]
    for path, columns in known[1:]:
        if different := sorted(columns ^ known[0][1]):
            raise UsageError(
                f"{path.name} and {known[0][0].name} have different columns: {', '.join(different)}. Rename "
                "them, or inspect each file alone."
            )


def _size(path: Path, file: ReviewFile) -> tuple[int, int]:
    """Return the estimated rows and the bytes of a file; the start of a text file is taken as typical.

    The rows of a Parquet file are exact, and its bytes are 0: it is not read in blocks.
    """
    if isinstance(file, ParquetFile):
        return file.count(), 0
    size = unpacked_bytes(path)
    with opened(path) as stream:
        head = stream.read(HEAD_BYTES)
    return round(size / max(1, len(head)) * max(1, head.count(b"\n"))), size


class _Reading:
    """Collects a fraction of the rows of several files."""

    def __init__(self, rng: Random, fraction: float) -> None:
        self._rng = rng
        self._fraction = fraction
        self._columns: dict[str, Column] = {}
        self._sampled = self._unreadable = 0
        self._rows = 0.0
        self._exact = True
        self._problems: Counter[str] = Counter()

    def add(self, path: Path, file: ReviewFile, size: int) -> None:
        """Read a file whole, in random blocks, or, if it has many rows but no blocks, row by row."""
        if isinstance(file, ParquetFile):
            self._rows += file.count()
            for row in file.random_rows(self._fraction, self._rng):
                self._keep(path, file, row)
        elif self._fraction >= 1:
            file.count()  # refuses another encoding, with the command that converts the file
            self._add_rows(path, file)
        elif content_of(path) in ("csv", "json lines") and isinstance(file, CsvFile | JsonFile):
            self._add_blocks(path, file, size)
        else:
            self._add_rows(path, file)

    def _add_rows(self, path: Path, file: ReviewFile) -> None:
        for row in file.rows():
            self._rows += 1
            if self._fraction >= 1 or self._rng.random() < self._fraction:
                self._keep(path, file, row)

    def _add_blocks(self, path: Path, file: CsvFile | JsonFile, size: int) -> None:
        blocks = random_block_numbers(size, self._fraction, self._rng)
        before = self._sampled + self._unreadable
        for row in rows_of_blocks(file, path, blocks):
            self._keep(path, file, row)
        self._rows += (self._sampled + self._unreadable - before) * blocks_of(size) / len(blocks)
        self._exact = False

    def _keep(self, path: Path, file: ReviewFile, row: ReviewRow) -> None:
        if row.problem:
            self._unreadable += 1
            self._problems[f"{path.name}: {row.problem}"] += 1
            return
        values = file.values_of(row)
        for name in values:
            if name not in self._columns:
                if len(self._columns) >= MAX_COLUMNS:
                    raise DataError(f"{path.name} has more than {MAX_COLUMNS:,} columns. Is it a table?")
                self._columns[name] = [None] * self._sampled
        for name, column in self._columns.items():
            column.append(values.get(name))
        self._sampled += 1

    def sample(self, source: str, files: tuple[str, ...]) -> TableSample:
        """Return what was read."""
        problems = [f"{problem} ({count:,})" for problem, count in self._problems.most_common(PROBLEMS_SHOWN)]
        return TableSample(
            source=source,
            files=files,
            columns=self._columns,
            sampled=self._sampled,
            rows=round(self._rows),
            exact=self._exact,
            unreadable=self._unreadable,
            problems=tuple(problems),
        )
