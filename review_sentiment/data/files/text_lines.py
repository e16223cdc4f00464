"""Lines of text files in UTF-8, compressed or not, in which a few bytes may be wrong."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from review_sentiment.data.files.recognition import not_utf8, opened

NOT_UTF8 = "not valid UTF-8"


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """Open a text file; line ends stay as they are, and wrong bytes become surrogates, for `readable`."""
    with (
        opened(path) as file,
        io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        yield text


def is_valid(text: str) -> bool:
    """Return whether a text can be written in UTF-8: it has no surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(text: str) -> str:
    r"""Return a text with wrong bytes written as `\\xf6`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def lines_of(first: int, last: int) -> str:
    """Return how a message names lines of a file."""
    return f"lines {first} to {last}" if last > first else f"line {first}"


def count_lines(path: Path, content: Callable[[str], str]) -> int:
    """Return how many lines have a `content` that is not empty.

    Raises:
        DataError: more lines are wrong in UTF-8 than right, so that the file is in another encoding. Lines of
            ASCII say nothing. In any other file, a wrong line costs only its row.
    """
    count = right = wrong = first_wrong = 0
    with opened_text(path) as file:
        for number, line in enumerate(file, start=1):
            count += bool(content(line))
            if not line.isascii():
                valid = is_valid(line)
                right, wrong = right + valid, wrong + (not valid)
                first_wrong = first_wrong or (0 if valid else number)
    if wrong > right:
        raise not_utf8(path, f"see line {first_wrong}")
    return count


def append_files(parts: Sequence[Path], output: Path) -> None:
    """Append the bytes of the parts to the output."""
    with output.open("ab") as joined:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined)
