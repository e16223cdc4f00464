"""Keeps a model in 4 bits in the cache directory, so that the next step neither downloads nor quantises it.

A step on a GPU is a process of its own, often a container. Without the copy, each reads the original (16 GB
for Llama 3.1 8B) and quantises it; the copy has 5.7 GB. Answers are the same to the last bit: a copy is used
for the same content of the original, quantisation, precision, kind of device and package versions only, and
if its own files are those that were written. On a CPU nothing is kept: see `place_of`.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.cache import cache_directory
from review_sentiment.errors import ReviewSentimentError, first_line
from review_sentiment.file_lock import exclusive
from review_sentiment.models.recorded_directory import is_as_recorded, write_recorded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.models.compute import ComputePlan

PACKAGES = ("bitsandbytes", "torch", "transformers")
SPARE_BYTES = 10e9
"""Left free for checkpoints and artifacts: a copy saves time, and must not end a run."""
SECONDS_TO_WAIT = 600.0
"""Several processes load a model at once, and one of them writes the copy."""

logger = logging.getLogger(__name__)


def place_of(base: ModelIdentity, plan: ComputePlan) -> Path | None:
    """Return the directory of the model's copy, whether it exists or not; None if none is kept."""
    if plan.device == "cpu" or base.quantization != "nf4" or base.revision is None:
        return None
    versions = [f"{package}=={version(package)}" for package in PACKAGES]
    key = repr((base.name, base.revision, base.quantization, plan.precision, plan.device, versions))
    return cache_directory() / "quantised" / hashlib.sha256(key.encode()).hexdigest()[:32]


def is_complete(copy: Path) -> bool:
    """Return whether a copy has the files that were written, and no others."""
    return is_as_recorded(copy)


def keep(model: PreTrainedModel, copy: Path) -> None:
    """Write a model that was just quantised, completely or not at all.

    If that fails, the model is quantised again the next time, and the log has the reason.
    """
    size = sum(parameter.nbytes for parameter in model.parameters())
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(copy.parent).free
        if free < size + SPARE_BYTES:
            logger.info("%.1f GB are free in %s: the 4-bit model is not kept", free / 1e9, copy.parent)
            return
        with exclusive(copy.parent / "write.lock", SECONDS_TO_WAIT):
            if not is_complete(copy):
                write_recorded(copy, model.save_pretrained)
                logger.info("The 4-bit model (%.1f GB) is kept in %s", size / 1e9, copy)
    except (OSError, ValueError, RuntimeError, ReviewSentimentError) as error:
        logger.warning("The 4-bit model could not be kept in %s: %s", copy.parent, first_line(error))
