"""JSON lines, an array of objects, or objects that take several lines each.

A row is written as it was read, with the added values at its end: big numbers keep every digit.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TextIO

from pydantic_core import from_json

from review_sentiment.data.files.review_file import Added, ReviewRow, Survey
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

BLOCK = 1 << 16
MAX_OBJECT = 1 << 25
"""Maximum characters of an object that takes several lines: a longer one was never closed."""
_SPECIAL = re.compile(r'\\.|["{}\[\],\n]', re.DOTALL)
_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
_OPENING = {"}": "{", "]": "["}


class JsonFile:
    """A JSON file; with `lines`, each line is a row."""

    ending = ".jsonl"
    columns = None

    def __init__(self, path: Path, *, lines: bool) -> None:
        self._path = path
        self._lines = lines

    def rows(
        self,
        columns: Sequence[str] = (),  # noqa: ARG002 - all are read anyway
        good: Iterable[bool] = (),
    ) -> Iterator[ReviewRow]:
        """Yield every row in the order of the file, with all its values unless it is known to be good."""
        with opened_text(self._path) as file:
            yield from _rows(self._pieces(file), good)

    def rows_of_part(self, part: TextIO, characters: int) -> Iterator[ReviewRow]:
        """Yield the rows that start within the first `characters` of a part of JSON lines."""
        for line in part:
            if characters <= 0:
                return
            characters -= len(line)
            yield from _rows(_lines(io.StringIO(line)))

    def count(self) -> int:
        """Return the lines that are not empty; without `lines`, the objects."""
        lines = count_lines(self._path, str.strip)  # refuses another encoding, whatever is counted
        if self._lines:
            return lines
        with opened_text(self._path) as file:
            return sum(1 for _ in _Splitter().pieces(file))

    def survey(self) -> Survey:
        """Read the whole file and return what it has."""
        rows = 0
        columns: dict[str, None] = {}
        with opened_text(self._path) as file:
            for _, raw in self._pieces(file):
                rows += 1
                if not _is_known(raw, columns):
                    columns |= dict.fromkeys(_parse(raw)[0])
        return Survey(rows, rows, tuple(columns))

    def values_of(self, row: ReviewRow) -> Mapping[str, Any]:
        """Return all values of a row."""
        return row.values or _parse(row.origin)[0]

    def write(self, path: Path, rows: Sequence[ReviewRow], added: Added) -> None:
        """Write rows with added values."""
        with path.open("w", encoding="utf-8", newline="") as file:
            for row, values in zip(rows, zip(*added.values(), strict=True), strict=True):
                more = dict(zip(added, values, strict=True))
                # A line has no line break: only then, the search for them takes 2 microseconds a row.
                line = row.origin if self._lines else _LINE_BREAK.sub(" ", row.origin)
                file.write(f"{line[:-1].rstrip()}, {_ENCODER.encode(more)[1:]}\n")

    def join(self, parts: Sequence[Path], output: Path, added: Sequence[str]) -> None:  # noqa: ARG002
        """Write the parts."""
        output.write_bytes(b"")
        append_files(parts, output)

    def _pieces(self, file: TextIO) -> Iterator[tuple[int, str]]:
        return _lines(file) if self._lines else _Splitter().pieces(file)


def _rows(pieces: Iterable[tuple[int, str]], good: Iterable[bool] = ()) -> Iterator[ReviewRow]:
    known = chain(good, repeat(False))
    for number, ((line, raw), is_good) in enumerate(zip(pieces, known, strict=False), start=1):
        if is_good:  # to parse a row takes longer than to write it, which needs no values
            yield ReviewRow(number, line=line, origin=raw)
            continue
        values, problem = _parse(raw)
        if problem and (breaks := raw.count("\n")):
            problem = f"{lines_of(line, line + breaks)}: {problem}"
        yield ReviewRow(number, values, problem, line=line, raw=readable(raw) if problem else "", origin=raw)


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, start=1):
        if stripped := line.strip():
            yield number, stripped


class _Splitter:
    """Splits a file into objects by its brackets, so that one that is not valid JSON costs only itself."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._in_array = False
        self._in_string = False
        self._line = 1

    def pieces(self, file: TextIO) -> Iterator[tuple[int, str]]:
        """Yield the first line and the text of each object.

        Raises:
            DataError: an object is not closed within `MAX_OBJECT` characters.
        """
        text, first = "", 1
        while block := file.read(BLOCK):
            while block.endswith("\\") and (
                more := file.read(1)
            ):  # keep a backslash and its character together
                block += more
            start = 0
            for special in _SPECIAL.finditer(block):
                before = block[start : special.start()]
                end = self._end(special[0], is_start=not (text + before).strip())
                if end is None:
                    continue
                yield from _piece(text + before + end, first)
                text, start, first = "", special.end(), self._line
            text += block[start:]
            if len(text) > MAX_OBJECT:
                raise DataError(f"Line {first}: an object of the JSON file is not closed.")
        yield from _piece(text, first)

    def _end(self, special: str, *, is_start: bool) -> str | None:
        """Return what of `special` belongs to the object that ends here; None if none ends here."""
        line_break = special.endswith("\n")
        self._line += line_break
        if self._in_string:
            # JSON has no line break in a string: one that is not closed costs its object only.
            self._in_string = special != '"' and not line_break
            return None
        if special == '"':
            self._in_string = True
        elif special in "{[":
            if special == "[" and is_start and not self._open and not self._in_array:
                self._in_array = True
                return ""
            self._open.append(special)
        elif special in "}]":
            return self._close(special)
        elif not self._open and (special == "," or not self._in_array):
            return ""
        return None

    def _close(self, bracket: str) -> str | None:
        if _OPENING[bracket] in self._open:
            while self._open.pop() != _OPENING[bracket]:
                pass  # an inner bracket that is missing
            return None if self._open else bracket
        if bracket == "]" and self._in_array:
            self._in_array = False
            self._open.clear()
            return ""
        return None


def _piece(text: str, first: int) -> Iterator[tuple[int, str]]:
    """Yield the line of the first character that is not white space, and the text, if there is one."""
    if stripped := text.strip():
        yield first + text[: len(text) - len(text.lstrip())].count("\n"), stripped


def _is_known(raw: str, columns: Mapping[str, Any]) -> bool:
    """Return whether a row certainly adds no column.

    This parser is ten times as fast as `_parse`, which finds more problems.
    """
    if not is_valid(raw):
        return False
    try:
        values = from_json(raw, cache_strings="keys")
    except ValueError:
        return False
    return isinstance(values, dict) and values.keys() <= columns.keys()


def _parse(raw: str) -> tuple[dict[str, Any], str]:
    """Return the values of a row, or why it cannot be read or written."""
    if not is_valid(raw):
        return {}, NOT_UTF8
    try:
        values = _DECODER.decode(raw)
        if "\\ud" in raw.lower():
            json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return {}, "half a surrogate pair, which is not a character"
    except RecursionError:
        return {}, "nested too deeply"
    except ValueError as error:  # also an integer of more digits than Python reads
        return {}, f"not valid JSON: {str(error).partition(';')[0]}"
    return (values, "") if isinstance(values, dict) else ({}, "not a JSON object")


def _without_equal_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("an object has the same key twice")
    return values


# `json.loads` and `json.dumps` make a decoder or an encoder for each row, a fifth of the time of a row.
_DECODER = json.JSONDecoder(object_pairs_hook=_without_equal_keys)
_ENCODER = json.JSONEncoder(ensure_ascii=False)
