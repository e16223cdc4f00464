"""Files on this machine: one `<Category>.jsonl`, `.jsonl.gz` or `.jsonl.zst` per category.

--set data.source=path/to/directory
--set data.source='path/to/*.jsonl.zst'
"""

from __future__ import annotations

import gzip
import io
import os
import unicodedata
import zlib
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from review_sentiment.data.sources.lines import parse_numbered, read_lines
from review_sentiment.data.sources.source import Chunk, Reading
from review_sentiment.errors import DataError, UsageError
from review_sentiment.fingerprints import SHORT_DIGITS, file_fingerprint

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
LINES_PER_CHUNK = 1_000


class LocalFile:
    """A plain file, read in ranges."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.size = path.stat().st_size
        self._path = path

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`.

        Raises:
            DataError: the file cannot be read, or became shorter.
        """
        try:
            with self._path.open("rb") as file:
                data = os.pread(file.fileno(), stop - start, start)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if len(data) != stop - start:
            raise DataError(f"{self._path} changed while it was read. Run again.")
        return data


class LocalFiles:
    """Files in the record schema of Amazon Reviews 2023."""

    def __init__(self, pattern: str) -> None:
        """Find the files of a directory or a glob.

        Raises:
            UsageError: there is no such directory, and no file matches the glob.
        """
        self.name = pattern
        place = Path(pattern).expanduser()
        found = sorted(place.iterdir() if place.is_dir() else place.parent.glob(place.name))
        self._files: dict[str, list[Path]] = {}
        for path in found:
            category = _category(path)
            if category is not None:
                self._files.setdefault(category, []).append(path)
        if not place.is_dir() and not self._files:
            raise UsageError(
                f"data.source: '{pattern}' is neither a source nor a directory. Use 'embedded', 'hub', "
                f"'ucsd', or a directory with one <Category>{' or '.join(SUFFIXES)} per category."
            )

    def categories(self) -> tuple[str, ...]:
        """Return the names of the files without their suffixes, sorted."""
        return tuple(sorted(self._files))

    def revision(self, category: str) -> str:
        """Return the file's size and a hash of its content.

        Raises:
            UsageError: several files are named after the category.
            DataError: the file cannot be read.
        """
        path = self._file(category)
        fingerprint = file_fingerprint(path)[:SHORT_DIGITS]
        return f"{path.stat().st_size} bytes, {fingerprint}"

    def require_revision(self, category: str, revision: str) -> None:
        """Check that the file has not changed since the run started, which decided what the cache holds.

        Raises:
            DataError: it has.
        """
        if self.revision(category) != revision:
            raise DataError(f"{self._file(category)} changed after the start of the run. Run again.")

    def read(self, category: str, seed: int) -> Reading:
        """Start to read the file: a large plain file in random blocks, a compressed one from start to end."""
        path = self._file(category)
        if path.suffix.lower() == ".jsonl":
            return read_lines(LocalFile(path), seed)
        return Reading(_decompressed(path), shuffled=False, size=path.stat().st_size)

    def _file(self, category: str) -> Path:
        """Return the one file of a category."""
        paths = self._files[category]
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise UsageError(
                f"data.source: {self.name} has several files for the category '{category}': {names}. Keep "
                "one of them, or choose one kind with a pattern such as 'directory/*.jsonl.gz'."
            )
        return paths[0]


def _category(path: Path) -> str | None:
    """Return the name of the category in a file's name, or None if the file is not one of a category.

    A name comes in composed characters (NFC), as settings do: macOS decomposes them. A name that is not
    Unicode can be neither logged nor stored.
    """
    suffix = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None or not path.is_file():
        return None
    name = unicodedata.normalize("NFC", path.name[: -len(suffix)].strip())
    is_unicode = not any(unicodedata.category(character) == "Cs" for character in name)
    return name if name and is_unicode else None


def _decompressed(path: Path) -> Iterator[Chunk]:
    try:
        with path.open("rb") as raw, _open(path, raw) as lines:
            before = 0
            for first in count(0, LINES_PER_CHUNK):
                batch = list(islice(lines, LINES_PER_CHUNK))
                if not batch:
                    return
                yield Chunk(parse_numbered(path.name, batch, first), raw.tell() - before)
                before = raw.tell()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        # Arrow reports a damaged stream as an OSError without a number.
        raise (_damaged(path, error) if error.errno is None else _unreadable(path, error)) from error


def _open(path: Path, raw: BinaryIO) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    return cast("BinaryIO", io.BufferedReader(pa.CompressedInputStream(raw, "zstd")))


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}.")


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is truncated, or not compressed as its name says ({error}). Copy it again.")
