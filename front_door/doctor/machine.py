"""The checks of this machine, which every stack needs. They change nothing."""

from __future__ import annotations

import sys
from importlib import metadata

from front_door.doctor.checks import Check, run_check
from front_door.doctor.four_bit import train_a_4bit_layer
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet, redirect_output
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
MIN_FREE_MEMORY_GB = 4.0
"""A default run needs less; the rest is for the system."""


def check_machine() -> list[Check]:
    """Return the results of all checks."""
    return [
        _python(),
        _packages(),
        run_check(
            "4-bit layers",
            lambda: train_a_4bit_layer("cpu"),
            "Reinstall bitsandbytes, or set model.quantization=none.",
        ),
        _memory(),
        run_check(
            "ZenML store", _zenml_store, "Set ZENML_CONFIG_PATH to a writable directory, or check the server."
        ),
        _mlflow(),
    ]


def _python() -> Check:
    return Check(
        "Python",
        sys.version_info[:2] in PYTHONS,
        ".".join(map(str, sys.version_info[:3])),
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
        return Check("packages", False, f"missing: {', '.join(missing)}", "Run make install.")
    return Check("packages", True, ", ".join(found))


def _memory() -> Check:
    from review_sentiment.resources.memory_limit import tightest_limit

    limit = tightest_limit()
    return Check(
        "memory",
        limit.free / 1e9 >= MIN_FREE_MEMORY_GB,
        f"{limit.free / 1e9:.1f} GB free of {limit.total / 1e9:.1f} GB of {limit.name}",
        f"A run needs {MIN_FREE_MEMORY_GB:.0f} GB. Close programs, or set training.tokens_per_pass=512.",
    )


def _zenml_store() -> str:
    with redirect_output(new_log_file()):
        from operators.zenml_store import connect

        return str(connect().zen_store.url)


def _mlflow() -> Check:
    from review_sentiment.tracking import mlflow_store

    try:
        with quiet(new_log_file()):  # a new database logs its migrations
            mlflow_store.configure(tracking_uri())
    except ReviewSentimentError as error:
        return Check("MLflow", False, tracking_uri(), str(error))
    return Check("MLflow", True, tracking_uri())
