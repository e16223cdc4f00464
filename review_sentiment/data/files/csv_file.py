"""CSV: every line of the file belongs to a row, and an unclosed quote costs only its own row."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from review_sentiment.data.files.recognition import not_utf8
from review_sentiment.data.files.review_file import TEXT, Added, ReviewRow, Survey, refuse_equal
from review_sentiment.data.files.text_lines import (
    NOT_UTF8,
    append_files,
    count_lines,
    is_valid,
    lines_of,
    opened_text,
    readable,
)
from review_sentiment.errors import DataError

MAX_FIELD = 1 << 27
"""Maximum characters of a field; the default of Python's reader is 131,072."""
MAX_LINES = 100_000
"""Maximum lines of a row; a quote that stays open for longer was never closed. This bounds memory."""
DELIMITERS = ",;\t|"


class CsvFile:
    """A CSV file with a header, separated by comma, semicolon, tab or bar."""

    ending = ".csv"

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            UsageError: two headings are equal: the values of one would be lost.
            DataError: the header is not valid CSV in UTF-8.
        """
        self._path = path
        with opened_text(path) as file:
            first = next((line for line in file if _content(line)), "")
        self._delimiter = _delimiter_of(first)
        with opened_text(path) as file:
            header = self._records(file).header()
        if not all(is_valid(name) and "\0" not in name for name in header):
            raise not_utf8(path, "see the header")
        self.columns: tuple[str, ...] = tuple(header)
        refuse_equal(path.name, header)

    def rows(
        self,
        columns: Sequence[str] = (),  # noqa: ARG002 - all are read anyway
        good: Iterable[bool] = (),  # noqa: ARG002 - a row is written from its fields
    ) -> Iterator[ReviewRow]:
        """Yield every row with all its values, in the order of the file."""
        with opened_text(self._path) as file:
            records = self._records(file)
            records.header()
            yield from self._rows(records)

    def rows_of_part(self, part: TextIO, characters: int) -> Iterator[ReviewRow]:
        """Yield the rows that start within the first `characters` of a part, which starts at a line.

        The line may be within a quoted text, whose row belongs to the part before.
        """
        text = part.read()
        skipped = _before_first_row(text, self._delimiter)
        left = characters - skipped
        records = self._records(io.StringIO(text[skipped:], newline=""))
        for row in self._rows(records):
            if left <= 0:
                return
            left -= sum(map(len, records.taken))
            yield row

    def _rows(self, records: _Records) -> Iterator[ReviewRow]:
        number = 0
        while (record := records.next(len(self.columns))) is not None:
            fields, problem, lines = record
            raw = "".join(lines)
            if not is_valid(raw):
                fields, problem = [], NOT_UTF8
            number += 1
            yield ReviewRow(
                number,
                {} if problem else dict(zip(self.columns, fields, strict=True)),
                problem,
                line=records.line,
                raw=readable(raw.rstrip("\r\n")) if problem else "",
                units=sum(bool(_content(line)) for line in lines),
                origin=fields,
            )

    def count(self) -> int:
        """Return the lines below the header that are not empty."""
        with opened_text(self._path) as file:
            records = self._records(file)
            records.header()
            header = sum(bool(_content(line)) for line in records.taken)
        return count_lines(self._path, _content) - header

    def survey(self) -> Survey:
        """Read the whole file and return what it has."""
        return Survey.of(self.rows(), self.columns)

    def values_of(self, row: ReviewRow) -> Mapping[str, Any]:
        """Return all values of a row."""
        return row.values

    def write(self, path: Path, rows: Sequence[ReviewRow], added: Added) -> None:
        """Write rows with added values, without a header."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=self._delimiter)
            answers = zip(*added.values(), strict=True)
            writer.writerows([*row.origin, *more] for row, more in zip(rows, answers, strict=True))

    def join(self, parts: Sequence[Path], output: Path, added: Sequence[str]) -> None:
        """Write the header and the parts."""
        with output.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=self._delimiter).writerow([*self.columns, *added])
        append_files(parts, output)

    def _records(self, file: TextIO) -> _Records:
        return _Records(file, self._delimiter)


class _Records:
    """The records of a CSV file. `taken` has the lines of the latest, `line` is the number of the first."""

    def __init__(self, file: TextIO, delimiter: str) -> None:
        self.line = 1
        self.taken: list[str] = []
        self._file = file
        self._again: deque[str] = deque()
        self._delimiter = delimiter
        csv.field_size_limit(MAX_FIELD)
        self._reader = csv.reader(self, strict=True, delimiter=delimiter)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line, for the CSV reader."""
        if len(self.taken) >= MAX_LINES:
            raise csv.Error(f"a quote is not closed within {MAX_LINES:,} lines")
        line = self._again.popleft() if self._again else next(self._file)
        self.taken.append(line)
        return line

    def header(self) -> list[str]:
        """Return the first record.

        Raises:
            DataError: it is not valid CSV.
        """
        fields, problem = self._parse() or ([], "there is none")
        if problem:
            raise DataError(f"The header of the CSV file (line {self.line}) cannot be read: {problem}.")
        return fields

    def next(self, width: int) -> tuple[list[str], str, list[str]] | None:
        """Return the fields, the problem and the lines of the next record of `width` fields; None at the end.

        If a quote is not closed, the record has only its first line: the lines that it swallowed are rows.
        """
        parsed = self._parse()
        if parsed is None:
            return None
        fields, problem = parsed
        if not problem and len(fields) != width:
            problem = f"expected {width} fields, got {len(fields)}"
        swallowed = self.taken[1:]
        if swallowed and self._are_rows(swallowed, width, None if problem else fields):
            rows = lines_of(self.line + 1, self.line + len(swallowed))
            problem = f"a quote is not closed; what it spans, {rows}, is read as rows"
            self._again.extendleft(reversed(swallowed))
            del self.taken[1:]
        elif problem and swallowed:
            problem = f"{lines_of(self.line, self.line + len(swallowed))}: {problem}"
        return fields, problem, self.taken

    def _parse(self) -> tuple[list[str], str] | None:
        """Return the fields and the problem of the next record that is not an empty line."""
        while True:
            self.line += len(self.taken)
            self.taken = []
            try:
                fields = next(self._reader, None)
            except csv.Error as error:
                return [], str(error)
            if fields is None:
                return None
            if fields:
                return fields, ""

    def _are_rows(self, lines: Sequence[str], width: int, record: Sequence[str] | None) -> bool:
        """Return whether the further lines of a record are rows that an unclosed quote swallowed.

        Each is read on its own. If the record itself cannot be right, it is enough that half of them have
        the right number of fields. If it can (`record`), all must have, and start with the same kind of
        identifier, or end with one: a text of several lines, as it is common in reviews, does not.
        """
        alone = [next(csv.reader([line], delimiter=self._delimiter), []) for line in lines]
        fitting = [fields for fields in alone if len(fields) == width]
        if record is None:
            return 2 * len(fitting) >= len(lines)
        if width == 1 or len(fitting) < len(lines):
            return False
        return all(_alike(fields[0], record[0]) for fields in fitting) or (
            len(fitting) > 1 and all(_alike(fields[-1], record[-1]) for fields in fitting)
        )


def _delimiter_of(header: str) -> str:
    """Return the delimiter that gives the header a column `text`, or else the most columns."""
    fields = {one: next(csv.reader([header], delimiter=one), []) for one in DELIMITERS}
    return max(DELIMITERS, key=lambda one: (TEXT in fields[one], len(fields[one])))


def _before_first_row(text: str, delimiter: str) -> int:
    """Return the characters before the first row of a part, which starts at a line of any row.

    A quote opens after a delimiter or a line end, and closes before one, in turn; pairs of quotes are part of
    a text. So the part starts within a quoted text if more of its quotes fit that way round.
    """
    edges = {delimiter, "\r", "\n", ""}
    outside = inside = 0
    single = (found for found in re.finditer('"+', text) if len(found[0]) % 2)
    for number, quote in enumerate(single):
        opens = text[max(0, quote.start() - 1) : quote.start()] in edges
        closes = text[quote.end() : quote.end() + 1] in edges
        outside += closes if number % 2 else opens
        inside += opens if number % 2 else closes
    within, skipped = inside > outside, 0
    for line in io.StringIO(text, newline=""):
        if not within:
            break
        within ^= line.count('"') % 2 == 1
        skipped += len(line)
    return skipped


def _alike(one: str, other: str) -> bool:
    """Return whether two values look like identifiers or numbers of the same kind."""
    return bool(re.search(r"\d", one)) and _shape(one) == _shape(other)


def _shape(value: str) -> str:
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d]+", "a", value))


def _content(line: str) -> str:
    """Return a line without its end."""
    return line.strip("\r\n")
