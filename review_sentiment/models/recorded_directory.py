"""A directory of the cache that records the fingerprints of its files, and appears complete or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from review_sentiment.fingerprints import file_fingerprint

CONTENTS_FILE = "contents.json"
"""The record: the fingerprint of each file, and of what they come from, by name."""


def contents_of(directory: Path) -> dict[str, str]:
    """Return the fingerprint of each file of a directory by its name, without the record.

    Raises:
        DataError: a file cannot be read.
        OSError: the directory cannot be read.
    """
    return {path.name: file_fingerprint(path) for path in directory.iterdir() if path.name != CONTENTS_FILE}


def recorded_in(directory: Path) -> Mapping[str, str]:
    """Return the record of a directory.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is not JSON.
    """
    found: Mapping[str, str] = json.loads((directory / CONTENTS_FILE).read_text(encoding="utf-8"))
    return found


def record(directory: Path, contents: Mapping[str, str]) -> None:
    """Write the record of a directory, which is complete now."""
    (directory / CONTENTS_FILE).write_text(json.dumps(contents), encoding="utf-8")


def put_in_place(finished: Path, place: Path, is_good: Callable[[Path], bool]) -> None:
    """Move a finished directory to its place in one step; another process may have been faster.

    A directory there that is not good moves beside the finished one, into its scratch directory.
    """
    if place.exists() and not is_good(place):
        shutil.move(place, finished.with_name("replaced"))
    try:
        finished.rename(place)
    except OSError:
        if not is_good(place):
            raise
