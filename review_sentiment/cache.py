"""The cache directory of this machine."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return the project's directory under `XDG_CACHE_HOME`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "review-sentiment"
