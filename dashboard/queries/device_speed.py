"""Training speed of this machine's CPU and GPU, measured over a few steps of the embedded model.

Each device is measured in a process of its own. Without a GPU, the page shows estimates for common ones.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from review_sentiment.cache import cache_directory
from review_sentiment.progress import Snapshot, forward_logs

STEPS = 8
WARM_UP_STEPS = 2
"""Not counted: the first steps compile kernels and train on the heaviest batch."""
OVERRIDES = (
    "data.categories=Intimate",
    "split.train_per_category=128",
    "split.validation_per_category=8",
    "split.evaluation_per_category=8",
    f"training.max_steps={STEPS}",
    "training.validations=0",
    "model.name=embedded",
)


@dataclass(frozen=True)
class Speed:
    """Median, lowest and highest tokens per second of the steps after the warm-up."""

    device: str
    precision: str
    tokens_per_second: float
    low: float
    high: float
    steps: int


def measure(device: str) -> Speed:
    """Measure a few training steps on a device, and save the result.

    Raises:
        UsageError: this machine has no such device.
        DataError: the embedded reviews are missing.
    """
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.settings_files import load_settings
    from review_sentiment.training.job import TrainingJob
    from review_sentiment.training.preparation import prepare
    from review_sentiment.training.qlora import finetune

    _progress_file(device).parent.mkdir(parents=True, exist_ok=True)
    _progress_file(device).unlink(missing_ok=True)
    forward_logs(_progress_file(device))
    settings = load_settings(None, [*OVERRIDES, f"model.device={device}"])
    recipe = Recipe.from_settings(settings)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-speed-") as scratch:
        trained = finetune(TrainingJob(recipe, prepare(settings).train, Path(scratch) / "adapter"))
    speed = speed_of(device, recipe.plan.precision, [point["tokens_per_second"] for point in trained.curve])
    _file(device).write_text(json.dumps(asdict(speed)), encoding="utf-8")
    return speed


def progress(device: str) -> Snapshot | None:
    """Return how far a measurement is, or None before its first step."""
    file = _progress_file(device)
    found = None
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        with suppress(ValueError):  # it is being written
            message = json.loads(line)
            if message["kind"] == "progress" and message["snapshot"]["task"] == "training":
                found = Snapshot(**message["snapshot"])
    return found


def speed_of(device: str, precision: str, tokens_per_second: Sequence[float]) -> Speed:
    """Return the speed from the throughput of each step."""
    counted = list(tokens_per_second[WARM_UP_STEPS:]) or list(tokens_per_second)
    return Speed(device, precision, median(counted), min(counted), max(counted), len(counted))


def saved_speed(device: str) -> Speed | None:
    """Return the last measurement on this machine, or None."""
    try:
        return Speed(**json.loads(_file(device).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # missing, damaged or of another version
        return None


def estimated_speeds() -> list[tuple[str, str, float]]:
    """Return name, precision and estimated tokens per second of common GPUs with the embedded model."""
    from review_sentiment.resources.memory import SHAPES
    from review_sentiment.resources.throughput import GPU_UTILISATION, GPUS, operations_per_token

    operations = operations_per_token(SHAPES["embedded"], recomputed=1)
    return [(gpu.name, gpu.precision, GPU_UTILISATION * gpu.peak / operations) for gpu in GPUS]


def _file(device: str) -> Path:
    return cache_directory() / "dashboard" / f"speed_{device}.json"


def _progress_file(device: str) -> Path:
    return _file(device).with_suffix(".jsonl")
