"""Tables from elsewhere, copied whole to the cache, where they are read like files on this machine.

The result of a query, a data set of the Hub and the files at an address are three origins. Each fills a
directory, which is for this user only and appears at once when it is complete. Runs name the copy by its
content: steps read the one of their run's start, also if a newer one exists.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from review_sentiment.cache import cache_directory, finish, remove_unused, unfinished_directory
from review_sentiment.data.sources.retries import UnreachableError
from review_sentiment.errors import DataError
from review_sentiment.fingerprints import combined, file_fingerprint
from review_sentiment.hashing import stable_hash

LAYOUT = "1"
"""Part of the key: other files are another copy."""
OUTDATED_SECONDS = 24 * 3_600
"""After so long without a reader, a copy is removed when another one of its origin is made. Until then, a run
that has started may read it."""
JSON_LINES = ".jsonl"

logger = logging.getLogger(__name__)


class Origin(Protocol):
    """A table that is elsewhere; `name` is its address for messages, `key` is what identifies it."""

    name: str
    key: tuple[str, ...]

    def state(self) -> str | None:
        """Return what changes if the table does; None if only reading it can tell.

        Raises:
            UnreachableError: there is no network.
            DataError: the table does not exist, or may not be read.
        """

    def write(self, directory: Path) -> None:
        """Write the table's files.

        Raises:
            UsageError: the table is not there.
            DataError: it cannot be read.
        """


def copy_of(origin: Origin) -> Path:
    """Return the directory with a copy of the table as it is now.

    Without a network, it is the last copy, with a warning.

    Raises:
        UnreachableError: there is no network, and no copy.
        UsageError: the table does not exist.
        DataError: it cannot be read, or changed while it was read.
    """
    try:
        state = origin.state()
    except UnreachableError:
        kept = kept_copies(origin)
        if not kept:
            raise
        logger.warning("warning: %s cannot be reached; using what was downloaded before", origin.name)
        return kept[0]
    parent, key = cache_directory() / "copies", _key(origin)
    directory = parent / f"{key}-{stable_hash(state):016x}" if state else None
    if directory is None or not directory.is_dir():
        logger.info("Copying %s to the cache", origin.name)
        remove_unused(parent)
        remove_unused(parent, f"{key}-*", OUTDATED_SECONDS)
        with unfinished_directory(parent) as unfinished:
            origin.write(unfinished)
            if origin.state() != state:
                raise DataError(f"{origin.name} changed while it was read. Run again.")
            directory = directory or parent / f"{key}-{_content(unfinished)}"
            finish(unfinished, directory)
    directory.touch()
    return directory


def kept_copies(origin: Origin) -> list[Path]:
    """Return the directories of the copies that the cache has, the last used first."""
    found = (cache_directory() / "copies").glob(f"{_key(origin)}-*")
    return sorted(found, key=lambda directory: directory.stat().st_mtime, reverse=True)


def write_rows(directory: Path, name: str, rows: Iterable[Mapping[str, Any]], place: str) -> None:
    """Write rows as JSON lines, one at a time; `name` becomes the category, if no column has them.

    Raises:
        DataError: there are no rows; the message names the `place`.
    """
    # A file of JSON lines can be read from any byte, so a large table is sampled in random blocks. What UTF-8
    # cannot write, half a surrogate pair, becomes its escape in JSON.
    count = 0
    path = directory / f"{file_name(name)}{JSON_LINES}"
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for count, row in enumerate(rows, start=1):  # noqa: B007 - the last number is the number of rows
            file.write(f"{json.dumps(row, ensure_ascii=False, default=_text)}\n")
    if not count:
        raise DataError(f"{place} has no rows.")
    logger.info("%s: %s rows", place, f"{count:,}")


def file_name(name: str) -> str:
    """Return a name without the characters that file names cannot have."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.") or "table"


def _text(value: Any) -> str:
    """Return a value as JSON has it: dates, decimals and the like as their text, bytes as UTF-8."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    return str(value)


def _key(origin: Origin) -> str:
    return f"{stable_hash(LAYOUT, *origin.key):016x}"


def _content(directory: Path) -> str:
    return combined(tuple((path.name, file_fingerprint(path)) for path in directory.iterdir()))
