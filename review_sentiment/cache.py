"""The cache directory on this machine."""

import os
import tempfile
from pathlib import Path


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
