"""A directory with one `<Category>.jsonl` or `<Category>.jsonl.gz` for each category."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from review_sentiment.errors import DataError, UsageError
from review_sentiment.records import BrokenRecord, ReviewRecord, parse_json_line

SUFFIXES = (".jsonl", ".jsonl.gz")


class LocalDirectory:
    """Files in the record schema of Amazon Reviews 2023."""

    def __init__(self, directory: str) -> None:
        """Open the directory.

        Raises:
            UsageError: it does not exist.
        """
        self.name = directory
        self._directory = Path(directory).expanduser()
        if not self._directory.is_dir():
            raise UsageError(
                f"data.source: '{directory}' is neither 'embedded' nor a directory. "
                "Name a directory with one <Category>.jsonl or <Category>.jsonl.gz for each category."
            )

    def categories(self) -> tuple[str, ...]:
        """Return the names of the files without their endings, sorted."""
        return tuple(sorted(self._files()))

    def revision(self, category: str) -> str:
        """Return the file's size and time of last change, as `make` judges it."""
        status = self._files()[category].stat()
        return f"{status.st_size} bytes, {status.st_mtime_ns} ns"

    def read(self, category: str) -> Iterator[ReviewRecord | BrokenRecord]:
        """Yield the file's rows.

        Raises:
            DataError: the file is cut short or cannot be read.
        """
        path = self._files()[category]
        try:
            with _open(path) as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield parse_json_line(line, f"{path.name} line {number}")
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path} is cut short or not gzip ({error}). Copy it again.") from error
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error

    def _files(self) -> dict[str, Path]:
        return {
            path.name.removesuffix(suffix): path
            for suffix in SUFFIXES
            for path in self._directory.glob(f"*{suffix}")
        }


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
