"""The cache directory on this machine."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNUSED_SECONDS = 30 * 24 * 3_600
"""Directories that were not used for so long are removed when another one is made."""


def cache_directory() -> Path:
    """Return the project's directory in `XDG_CACHE_HOME`, by default in `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "review-sentiment"


def write_whole(file: Path, text: str) -> None:
    """Write a text file completely or not at all: other processes may read or write it at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as unfinished:
        unfinished.write(text)
    Path(unfinished.name).replace(file)


@contextmanager
def unfinished_directory(parent: Path) -> Iterator[Path]:
    """Yield a new directory, for this user only. At the end it is removed, unless it was finished."""
    parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def finish(unfinished: Path, directory: Path) -> None:
    """Give an unfinished directory its name, unless another process was faster."""
    try:
        unfinished.rename(directory)
    except OSError:
        if not directory.is_dir():
            raise


def remove_unused(parent: Path, pattern: str = "*", seconds: float = UNUSED_SECONDS) -> None:
    """Remove the directories that were neither written nor touched for so long."""
    for directory in parent.glob(pattern):
        with suppress(FileNotFoundError):  # another process removed it
            if time.time() - directory.stat().st_mtime > seconds:
                shutil.rmtree(directory, ignore_errors=True)
