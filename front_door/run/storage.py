"""The places that a run writes to: they must be writable and have enough space before it starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from front_door.state import existing_parent, zenml_directory
from review_sentiment import cache
from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.models import embedded_model
from review_sentiment.models.base_model import EMBEDDED
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.quantised_copy import place_of
from review_sentiment.resources.memory import NF4_BYTES, shape_of

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.models.base_model import ModelIdentity

GIGABYTE = 1e9
ARTIFACTS_GB = 0.3
"""A run's artifacts take about 0.1 GB."""
UNPACKED_MODEL_GB = 0.6
IMAGE_GB = 12.0
"""The unpacked image of remote steps: CUDA's libraries and torch are most of it (an estimate)."""
CHECKPOINTS = 3
"""The newest checkpoint, the one being written, and the adapter as an artifact."""
CHECKPOINT_BYTES = 12
"""Of one adapter weight: itself and Adam's two moments, each in FP32."""
DOWNLOADED_BYTES = 2
"""Of one weight on the Hub: nearly all models are published in BF16."""


@dataclass(frozen=True)
class DiskNeeds:
    """What a training writes, in 1e9 bytes."""

    download: float
    four_bit: float
    checkpoints: float

    @property
    def total(self) -> float:
        """Return the sum, with the run's artifacts."""
        return self.download + self.four_bit + self.checkpoints + ARTIFACTS_GB

    def __str__(self) -> str:
        parts = {
            "the model": self.download,
            "its 4-bit copy": self.four_bit,
            "checkpoints": self.checkpoints,
        }
        return ", ".join(f"{name} {size:.1f}" for name, size in parts.items() if round(size, 1))


def disk_needs(settings: Settings, base: ModelIdentity, downloads: bool, quantises: bool) -> DiskNeeds:
    """Return what a training writes; steps on a GPU keep the model in 4 bits (`models/quantised_copy.py`).

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    shape = shape_of(base)
    everything = shape.linear_parameters + shape.other_parameters
    four_bit = shape.linear_parameters * NF4_BYTES + 2 * shape.other_parameters
    adapter = shape.adapter_parameters(settings.lora.rank)
    return DiskNeeds(
        download=downloads * everything * DOWNLOADED_BYTES / GIGABYTE,
        four_bit=quantises * four_bit / GIGABYTE,
        checkpoints=CHECKPOINTS * CHECKPOINT_BYTES * adapter / GIGABYTE,
    )


def needs_here(settings: Settings, base: ModelIdentity) -> DiskNeeds:
    """Return what a training on this machine writes that is not there yet.

    Raises:
        UsageError: this machine does not have the device that the settings ask for.
        ModelUnavailableError: the model's configuration cannot be read.
    """
    plan = plan_compute(settings.model.device, settings.model.precision)
    copy = place_of(base, plan)
    quantises = plan.device != "cpu" and base.quantization == "nf4" and not (copy and copy.exists())
    return disk_needs(settings, base, not base.files and not _is_downloaded(base), quantises)


def require_storage(settings: Settings, base: ModelIdentity, needs: DiskNeeds | None) -> str:
    """Check the places on this machine, each disk with the sum of what is written to it.

    `needs` is None if training runs on another machine.

    Raises:
        UsageError: a place cannot be written.
        ReviewSentimentError: there is too little space.
    """
    needed: dict[int, float] = {}
    found: dict[str, None] = {}
    for directory, size in _written(settings, base, needs):
        free, disk = _free_gb(directory)
        needed[disk] = needed.get(disk, 0.0) + size
        if free < needed[disk]:
            raise ReviewSentimentError(
                f"{directory}: {free:.1f} GB are free, and a run needs {needed[disk]:.1f}"
                f"{f' ({needs})' if needs else ''}. Free some space."
            )
        found[str(directory)] = None
    return f"{', '.join(found)}: {sum(needed.values()):.1f} GB are needed and free"


def _written(
    settings: Settings, base: ModelIdentity, needs: DiskNeeds | None
) -> Iterator[tuple[Path, float]]:
    """Yield the directories that a run on this machine writes to, and how many GB."""
    yield zenml_directory(), ARTIFACTS_GB
    yield cache.cache_directory(), needs.four_bit if needs else 0.0
    if needs and base.name == EMBEDDED and not embedded_model.is_unpacked():
        yield cache.cache_directory(), UNPACKED_MODEL_GB
    if needs and needs.download:
        from huggingface_hub.constants import HF_HUB_CACHE

        yield Path(HF_HUB_CACHE), needs.download
    checkpoints = settings.training.checkpoint_dir
    if checkpoints and "://" in checkpoints:
        _require_protocol(checkpoints)
    elif needs:
        place = Path(checkpoints).expanduser().absolute() if checkpoints else cache.cache_directory()
        yield place, needs.checkpoints


def _is_downloaded(base: ModelIdentity) -> bool:
    """Return whether the Hub's cache has the weights: of a model in several files, their index comes last."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "model.safetensors.index.json")
    return any(isinstance(try_to_load_from_cache(base.name, n, revision=base.revision), str) for n in names)


def _free_gb(directory: Path) -> tuple[float, int]:
    """Return the free space where a directory is, or will be made, in 1e9 bytes, and the number of its disk.

    Raises:
        UsageError: nothing can be written there.
    """
    try:
        place = existing_parent(directory)
        if place.is_dir() and os.access(place, os.W_OK):
            return shutil.disk_usage(place).free / GIGABYTE, place.stat().st_dev
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
