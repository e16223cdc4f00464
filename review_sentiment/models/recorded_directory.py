"""A directory of the cache that records the fingerprints of its files, and appears complete or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from review_sentiment.errors import DataError
from review_sentiment.fingerprints import file_fingerprint

CONTENTS_FILE = "contents.json"
"""The record: the fingerprint of each file, and of what they come from, by name."""
NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})


def is_as_recorded(directory: Path, origin: Mapping[str, str] = NOTHING_ELSE) -> bool:
    """Return whether a directory has the files that were written, and no others.

    `origin` has the fingerprint of each file that they come from, by its name.
    """
    try:
        recorded = json.loads((directory / CONTENTS_FILE).read_text(encoding="utf-8"))
        return bool(recorded == {**_contents_of(directory), **origin})
    except (OSError, ValueError, DataError):  # another process may be replacing it
        return False


def write_recorded(
    directory: Path, write: Callable[[Path], object], origin: Mapping[str, str] = NOTHING_ELSE
) -> None:
    """Write a directory completely or not at all, in place of one that is not as recorded.

    `write` gets a directory that does not exist yet.

    Raises:
        OSError: it cannot be written.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".writing-") as scratch:
        written = Path(scratch) / "model"
        write(written)
        contents = {**_contents_of(written), **origin}
        (written / CONTENTS_FILE).write_text(json.dumps(contents), encoding="utf-8")
        _put_in_place(written, directory, origin)


def _contents_of(directory: Path) -> dict[str, str]:
    """Return the fingerprint of each file of a directory by its name, without the record."""
    return {path.name: file_fingerprint(path) for path in directory.iterdir() if path.name != CONTENTS_FILE}


def _put_in_place(written: Path, place: Path, origin: Mapping[str, str]) -> None:
    """Move a complete directory to its place in one step; another process may have been faster.

    A directory there that is not as recorded moves beside the complete one, into its scratch directory.
    """
    if place.exists() and not is_as_recorded(place, origin):
        shutil.move(place, written.with_name("replaced"))
    try:
        written.rename(place)
    except OSError:
        if not is_as_recorded(place, origin):
            raise
