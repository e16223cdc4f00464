"""The files that scoring writes beside each other, and who may write them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from review_sentiment.errors import UsageError


def failed_file(output: Path) -> Path:
    """Return the file with the rows that could not be scored."""
    return output.with_name(f"{output.name}.failed.jsonl")


def unsure_file(output: Path) -> Path:
    """Return the file with the rows that are not answered."""
    return output.with_name(f"{output.name}.unsure.jsonl")


def parts_directory(output: Path) -> Path:
    """Return the directory for what is unfinished."""
    return output.with_name(f"{output.name}.parts")


def drift_page(output: Path) -> Path:
    """Return the report of the drift from the training reviews."""
    return output.with_name(f"{output.name}.drift.html")


def check_output(source: Path, output: Path, ending: str) -> None:
    """Check that an output of the format `ending` can be written.

    Raises:
        UsageError: its name, its place or its other files are not possible.
    """
    directory = output.parent
    if output.suffix.lower() != ending:
        raise UsageError(
            f"{output.name}: the output has the format of the input. Name it "
            f"{output.name.partition('.')[0]}{ending}."
        )
    if not directory.is_dir():
        raise UsageError(f"There is no directory {directory}. Create it first.")
    if not os.access(directory, os.W_OK):
        raise UsageError(f"You may not write to the directory {directory}.")
    if output.is_dir():
        raise UsageError(f"{output} is a directory. Name a file.")
    for path in (output, failed_file(output), unsure_file(output), drift_page(output)):
        if path.exists() and path.samefile(source):
            raise UsageError(
                f"{path.name} is the input itself, which would be overwritten. Name another output."
            )


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keep other processes from writing the output. A lock ends with its process, also after `kill -9`.

    Raises:
        UsageError: another process writes it.
    """
    path = output.with_name(f"{output.name}.lock")
    with _lock(path):
        try:
            yield
        finally:
            path.unlink()


def _lock(path: Path) -> TextIO:
    while True:
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UsageError(
                f"Another process is writing {path.stem}. Wait until it ends, or name another output."
            ) from None
        # Whoever had the lock removed the file while holding it: ours may no longer be at the path.
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        file.close()
