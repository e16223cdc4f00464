"""Parquet. Columns stay as Arrow has them, so that every type keeps its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice, repeat
from pathlib import Path
from random import Random
from typing import Any

from review_sentiment.data.files.review_file import Added, ReviewRow, Survey, refuse_equal
from review_sentiment.errors import DataError, first_line

BATCH = 1_000
BUFFER_BYTES = 1 << 18


class ParquetFile:
    """A parquet file."""

    ending = ".parquet"

    def __init__(self, path: Path) -> None:
        """Read the schema.

        Raises:
            UsageError: two columns have the same name.
            DataError: the file is damaged.
        """
        from pyarrow.parquet import ParquetFile as Reader

        self._path = path
        try:
            with Reader(path) as file:
                # The metadata of pandas would claim an index of the rows and columns of the input.
                self._schema = file.schema_arrow.remove_metadata()
                self._rows: int = file.metadata.num_rows
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        self.columns: tuple[str, ...] = tuple(self._schema.names)
        refuse_equal(path.name, self.columns)

    def rows(self, columns: Sequence[str] = (), good: Iterable[bool] = ()) -> Iterator[ReviewRow]:
        """Yield every row with the values of some columns, in the order of the file.

        Where all rows of a batch are known to be good, they have no values.

        Raises:
            DataError: the file is damaged.
        """
        number, known = 0, iter(good)
        for batch in self._batches():
            is_good = sum(islice(known, len(batch))) == len(batch)
            read = repeat(({}, ""), len(batch)) if is_good else _values(batch, columns)
            for index, (values, problem) in enumerate(read):
                number += 1
                yield ReviewRow(number, values, problem, origin=(batch, index))

    def random_rows(self, fraction: float, rng: Random) -> Iterator[ReviewRow]:
        """Yield a random fraction of the rows without their values, for `values_of`.

        Raises:
            DataError: the file is damaged.
        """
        number = 0
        for batch in self._batches():
            for index in range(len(batch)):
                number += 1
                if rng.random() < fraction:
                    yield ReviewRow(number, origin=(batch, index))

    def _batches(self) -> Iterator[Any]:
        from pyarrow.parquet import ParquetFile as Reader

        try:
            # Buffered, a row group need not fit in memory: 157 MB instead of 260 for one of a million rows.
            with Reader(self._path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
                yield from file.iter_batches(BATCH)
        except (OSError, ValueError) as error:
            raise _unreadable(self._path, error) from error

    def count(self) -> int:
        """Return the rows by the file's metadata."""
        return self._rows

    def survey(self) -> Survey:
        """Read the whole file and return what it has."""
        return Survey.of(self.rows(), self.columns)

    def values_of(self, row: ReviewRow) -> Mapping[str, Any]:
        """Return all values of a row that Python can represent."""
        batch, index = row.origin
        whole = batch.slice(index, 1)
        return {name: _first(whole[name])[0] for name in self.columns}

    def write(self, path: Path, rows: Sequence[ReviewRow], added: Added) -> None:
        """Write rows with added values."""
        import pyarrow as pa
        from pyarrow.parquet import write_table

        # Neighbours are taken together: a slice keeps every type, which `take` does not.
        runs = [
            [row.origin for _, row in run]
            for _, run in groupby(
                enumerate(rows), key=lambda pair: (id(pair[1].origin[0]), pair[1].number - pair[0])
            )
        ]
        batches = [run[0][0].slice(run[0][1], len(run)) for run in runs]
        table = pa.Table.from_batches(batches).replace_schema_metadata()
        for name, values in added.items():
            table = table.append_column(name, pa.array(values))
        write_table(table, path)

    def join(self, parts: Sequence[Path], output: Path, added: Sequence[str]) -> None:  # noqa: ARG002
        """Write the parts, which have the added columns."""
        from pyarrow.parquet import ParquetFile as Reader
        from pyarrow.parquet import ParquetWriter, read_schema

        with ParquetWriter(output, read_schema(parts[0])) as writer:
            for part in parts:
                with Reader(part) as file:
                    writer.write_table(file.read())


def _values(batch: Any, columns: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the values of each row, or the problem. Other columns are not converted."""
    reviews = batch.select([name for name in columns if name in batch.schema.names])
    try:
        yield from [(values, "") for values in reviews.to_pylist()]
    except ValueError:  # one text is not in UTF-8
        for index in range(len(batch)):
            read = {name: _first(reviews[name].slice(index, 1)) for name in reviews.schema.names}
            problems = [f"`{name}`: {problem}" for name, (_, problem) in read.items() if problem]
            yield {name: value for name, (value, _) in read.items()}, "; ".join(problems)


def _first(column: Any) -> tuple[Any, str]:
    """Return the first value of a column, or why Python cannot represent it."""
    try:
        return column[0].as_py(), ""
    except ValueError as error:
        return None, first_line(error)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path.name} cannot be read as parquet: {first_line(error)}. Copy it again.")
