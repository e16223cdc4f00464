"""The places that a run writes to: they must be writable and have enough space before it starts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from front_door.state import zenml_directory
from review_sentiment import cache
from review_sentiment.errors import ReviewSentimentError, UsageError

GIGABYTE = 1e9
MIN_FREE_DISK_GB = 0.3
"""A run's artifacts take about 0.1 GB."""
UNPACKED_MODEL_GB = 0.6


def require_storage(checkpoints: str | None, unpacks: bool) -> str:
    """Check state, cache and the place of checkpoints; `unpacks` if the embedded model is yet to be unpacked.

    Raises:
        UsageError: a place cannot be written.
        ReviewSentimentError: there is too little space.
    """
    directories = [cache.cache_directory(), zenml_directory()]
    if checkpoints and "://" in checkpoints:
        _require_protocol(checkpoints)
    elif checkpoints:
        directories.append(Path(checkpoints).expanduser().absolute())
    needed = MIN_FREE_DISK_GB + UNPACKED_MODEL_GB * unpacks
    for directory in directories:
        free = _free_gb(directory)
        if free < needed:
            raise ReviewSentimentError(
                f"{directory}: {free:.1f} GB are free, and a run needs {needed:.1f}. Free some space."
            )
    return f"{', '.join(map(str, directories))}: enough space"


def existing_parent(directory: Path) -> Path:
    """Return the directory, or the nearest parent that exists: a run creates the rest."""
    return next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())


def _free_gb(directory: Path) -> float:
    """Return the free space where a directory is, or will be made, in 1e9 bytes.

    Raises:
        UsageError: nothing can be written there.
    """
    try:
        place = existing_parent(directory)
        if place.is_dir() and os.access(place, os.W_OK):
            return shutil.disk_usage(place).free / GIGABYTE
        reason = f"{place} is not writable" if place.is_dir() else f"{place} is a file"
    except OSError as error:
        reason = str(error.strerror)
    raise UsageError(f"{directory} cannot be written: {reason}. Choose another directory.")


def _require_protocol(address: str) -> None:
    """Raise a UsageError if no file system of fsspec reads the address."""
    import fsspec  # type: ignore[import-untyped]

    protocol = address.split("://", maxsplit=1)[0]
    try:
        fsspec.get_filesystem_class(protocol)
    except (ValueError, ImportError) as error:
        raise UsageError(f"training.checkpoint_dir: {address} cannot be written: {error}") from error
