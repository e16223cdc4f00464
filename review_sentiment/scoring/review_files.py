"""Read and write files of reviews in chunks: CSV, JSON lines and parquet.

A row that cannot be used is returned with its number and the reason, so that one bad row does not stop a
file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

CSV, JSON_LINES, PARQUET = ".csv", ".jsonl", ".parquet"
FORMATS = (CSV, JSON_LINES, PARQUET)
TEXT, TITLE = "text", "title"
MAX_FIELD = 1 << 27
"""Maximum characters of a CSV field; the default of Python's reader is 131,072."""


@dataclass(frozen=True)
class ReviewRow:
    """A row of a file: its number (the first is 1), its values, and why it cannot be scored, if it cannot."""

    number: int
    values: Mapping[str, Any]
    problem: str = ""


def format_of(path: Path) -> str:
    """Return the file name's ending, which determines the format.

    Raises:
        UsageError: the format is not supported.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path.name}: unsupported format. Use {', '.join(FORMATS)}.")
    return path.suffix.lower()


def columns_of(path: Path) -> list[str]:
    """Return the columns of a file; for JSON lines, those of the first line.

    Raises:
        UsageError: the file does not exist, is empty, or has no column `text`.
        DataError: the content does not match the format.
    """
    if not path.is_file():
        raise UsageError(f"There is no file {path}.")
    try:
        columns = _columns(path)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, 0, error.reason) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}: {error}") from error
    if any("\0" in column for column in columns):  # UTF-16 without a byte order mark reads as UTF-8
        raise _not_utf8(path, 0, "it contains null characters")
    if TEXT not in columns:
        raise UsageError(
            f"{path.name} has no column '{TEXT}'; it has: {', '.join(columns) or 'nothing'}. Rename the "
            f"column with the reviews to '{TEXT}' and the one with their titles, if any, to '{TITLE}'."
        )
    return columns


def read_chunks(path: Path, rows: int) -> Iterator[list[ReviewRow]]:
    """Yield the rows of a file in lists of at most `rows`."""
    all_rows = read_rows(path)
    while chunk := list(islice(all_rows, rows)):
        yield chunk


def read_rows(path: Path) -> Iterator[ReviewRow]:
    """Yield the rows of a file one by one.

    Raises:
        DataError: a text file is not in UTF-8.
    """
    readers = {CSV: _csv_rows, JSON_LINES: _json_rows, PARQUET: _parquet_rows}
    number = 0
    try:
        for number, (values, problem) in enumerate(readers[format_of(path)](path), start=1):
            yield ReviewRow(number, values, problem or _problem_of(values))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, number, error.reason) from error


def _not_utf8(path: Path, number: int, reason: str) -> DataError:
    return DataError(
        f"{path.name} is not in UTF-8 (after row {number}: {reason}). Convert it first: "
        f"iconv -f {_likely_encoding(path)} -t utf-8 {path.name} > converted{path.suffix}"
    )


def _likely_encoding(path: Path) -> str:
    """Return the likely encoding of a text file that is not in UTF-8, as iconv names it."""
    with path.open("rb") as file:
        start = file.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if b"\0" in start:
        return "utf-16be" if start.startswith(b"\0") else "utf-16le"
    return "latin1"


def _columns(path: Path) -> list[str]:
    match format_of(path):
        case ".parquet":
            from pyarrow.parquet import read_schema

            return list(read_schema(path).names)
        case ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                return next(csv.reader(file), [])
        case _:
            return list(next((row.values for row in read_rows(path) if row.values), {}))


def _problem_of(values: Mapping[str, Any]) -> str:
    text = values.get(TEXT)
    if text is None:
        return f"`{TEXT}` is missing"
    if not isinstance(text, str):
        return f"`{TEXT}` must be a string, got {type(text).__name__}"
    if not text.strip():
        return f"`{TEXT}` is empty"
    title = values.get(TITLE) or ""
    return "" if isinstance(title, str) else f"`{TITLE}` must be a string, got {type(title).__name__}"


def _csv_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    csv.field_size_limit(MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        columns = next(reader, [])
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield {}, f"line {reader.line_num}: {error}"
                continue
            if fields is None:
                return
            if len(fields) != len(columns):
                if fields:  # an empty line has none
                    yield {}, f"expected {len(columns)} fields, got {len(fields)}"
                continue
            yield dict(zip(columns, fields, strict=True)), ""


def _json_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                yield {}, f"not valid JSON: {error}"
                continue
            if isinstance(values, dict):
                yield values, ""
            else:
                yield {}, "not a JSON object"


def _parquet_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1_000):
            for values in batch.to_pylist():
                yield values, ""


def write_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], schema: pa.Schema
) -> None:
    """Write rows in the format of the file name's ending; only parquet uses the `schema`."""
    ending = format_of(path)
    if ending == PARQUET:
        import pyarrow as pa
        from pyarrow.parquet import write_table

        write_table(pa.Table.from_pylist(list(rows), schema), path)
        return
    with path.open("w", encoding="utf-8", newline="" if ending == CSV else None) as file:
        if ending == CSV:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def join_files(parts: Sequence[Path], output: Path) -> None:
    """Concatenate files of one format without reading them whole."""
    if format_of(output) == PARQUET:
        from pyarrow.parquet import ParquetFile, ParquetWriter, read_schema

        with ParquetWriter(output, read_schema(parts[0])) as writer:
            for part in parts:
                with ParquetFile(part) as file:
                    writer.write_table(file.read())
        return
    with output.open("wb") as joined:
        for number, part in enumerate(parts):
            with part.open("rb") as file:
                if number and format_of(output) == CSV:
                    file.seek(_header_bytes(part))
                while block := file.read(1 << 20):
                    joined.write(block)


def _header_bytes(part: Path) -> int:
    """Return the bytes of the header that `write_rows` wrote; column names may contain line breaks."""
    header = io.StringIO(newline="")
    csv.writer(header).writerow(_columns(part))
    return len(header.getvalue().encode())


def scored_schema(path: Path, numbers: Sequence[str], texts: Sequence[str]) -> pa.Schema | None:
    """Return the schema of a parquet file with the added columns; None for other formats."""
    if format_of(path) != PARQUET:
        return None
    import pyarrow as pa
    from pyarrow.parquet import read_schema

    schema = read_schema(path).remove_metadata()
    for name, kind in (*((text, pa.string()) for text in texts), *((one, pa.float64()) for one in numbers)):
        schema = schema.append(pa.field(name, kind))
    return schema
