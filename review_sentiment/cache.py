"""The cache directory on this machine."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the project's directory in `XDG_CACHE_HOME`, by default in `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "review-sentiment"
