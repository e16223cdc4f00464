"""What a run on this machine needs: what was checked, what was found, what to do."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import psutil

from front_door.doctor.checks import Check
from front_door.state import new_log_file, tracking_uri, zenml_directory
from review_sentiment import cache
from review_sentiment.errors import ReviewSentimentError

PYTHONS = ((3, 11), (3, 12), (3, 13))
PACKAGES = (
    "zenml",
    "mlflow",
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "datasets",
    "evidently",
    "scikit-learn",
)
MIN_FREE_DISK_GB = 2.0
"""The unpacked model takes 0.54 GB, a run's artifacts about 0.1 GB."""
MIN_FREE_MEMORY_GB = 4.0
"""A default run takes less; the rest is for the system."""


def check_machine() -> list[Check]:
    """Run every check that any stack needs; none changes anything."""
    checks: Sequence[Callable[[], Check]] = (
        _python,
        _packages,
        _quantisation,
        _device,
        _memory,
        _disk,
        _zenml,
        _mlflow,
    )
    return [check() for check in checks]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "Python",
        sys.version_info[:2] in PYTHONS,
        found,
        "Use Python 3.11, 3.12 or 3.13: make install PYTHON=python3.11",
    )


def _packages() -> Check:
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        return Check("packages", False, f"missing: {', '.join(missing)}", "make install")
    return Check("packages", True, ", ".join(found))


def four_bit_product_is_finite(device: str) -> bool:
    """Multiply by a 4-bit layer on a device, and tell whether the product is made of finite numbers."""
    import bitsandbytes
    import torch

    layer = bitsandbytes.nn.Linear4bit(64, 64, bias=False, quant_type="nf4").to(device)
    return bool(torch.isfinite(layer(torch.ones(1, 64, device=device))).all())


def _quantisation() -> Check:
    """Multiply by a 4-bit layer: bitsandbytes imports without its native library, and fails later."""
    try:
        finite = four_bit_product_is_finite("cpu")
    except Exception as error:  # noqa: BLE001 - whatever fails here is the finding
        return Check(
            "4-bit layers",
            False,
            f"{type(error).__name__}: {error}",
            "Reinstall bitsandbytes, or set model.quantization=none.",
        )
    return Check("4-bit layers", finite, "a product with NF4 weights", "Reinstall bitsandbytes.")


def _device() -> Check:
    try:
        from review_sentiment.models.compute import plan_compute

        plan = plan_compute()
    except (ImportError, ReviewSentimentError) as error:
        return Check("device", False, str(error), "make install")
    return Check("device", True, f"{plan.device}, {plan.precision}, {os.cpu_count()} cores")


def _memory() -> Check:
    free = psutil.virtual_memory().available / 1e9
    return Check(
        "memory",
        free >= MIN_FREE_MEMORY_GB,
        f"{free:.1f} GB free",
        f"A run wants {MIN_FREE_MEMORY_GB:.0f} GB. Close programs, or set training.tokens_per_pass=512.",
    )


def _disk() -> Check:
    places = {cache.cache_directory(), zenml_directory()}
    free = min(shutil.disk_usage(_existing(place)).free for place in places) / 1e9
    unwritable = [str(place) for place in places if not _writable(_existing(place))]
    if unwritable:
        return Check(
            "disk",
            False,
            f"cannot write to {', '.join(unwritable)}",
            "Set XDG_CACHE_HOME and ZENML_CONFIG_PATH to directories that can be written.",
        )
    return Check(
        "disk",
        free >= MIN_FREE_DISK_GB,
        f"{free:.1f} GB free",
        f"A first run wants {MIN_FREE_DISK_GB:.0f} GB. Free some room.",
    )


def _zenml() -> Check:
    try:
        from front_door.terminal.console import import_zenml_quietly, quiet

        with quiet(new_log_file()):
            import_zenml_quietly()
            from zenml.client import Client

            store = Client().zen_store.url
    except Exception as error:  # noqa: BLE001 - whatever fails here is the finding
        return Check(
            "ZenML store",
            False,
            f"{type(error).__name__}: {error}",
            "Set ZENML_CONFIG_PATH to a directory that can be written, or check the server.",
        )
    return Check("ZenML store", True, store)


def _mlflow() -> Check:
    from front_door.terminal.console import quiet
    from review_sentiment.tracking import mlflow_store

    try:
        with quiet(new_log_file()):  # a new database reports its migrations
            mlflow_store.configure(tracking_uri())
    except ReviewSentimentError as error:
        return Check("MLflow", False, tracking_uri(), str(error))
    return Check("MLflow", True, tracking_uri())


def _existing(place: Path) -> Path:
    """Return the nearest directory that exists: the others are made in it."""
    return next(parent for parent in (place, *place.parents) if parent.exists())


def _writable(place: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False
