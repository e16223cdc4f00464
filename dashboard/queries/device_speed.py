"""Training speed of this machine's CPU and GPU, measured over a few steps of the embedded model.

    python -m dashboard.queries.device_speed cpu

The page measures each device in a process of its own. Without a GPU it shows estimates for common ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from review_sentiment.cache import cache_directory
from review_sentiment.errors import TrainingError

ROOT = Path(__file__).resolve().parents[2]
STEPS = 8
WARM_UP_STEPS = 2
"""Not counted: the first steps compile kernels and train on the heaviest batch."""
TIMEOUT_SECONDS = 300.0
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
    """Measure a few training steps on a device.

    Raises:
        UsageError: this machine has no such device.
        DataError: the embedded reviews are missing.
    """
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.settings_files import load_settings
    from review_sentiment.training.job import TrainingJob
    from review_sentiment.training.preparation import prepare
    from review_sentiment.training.qlora import finetune

    settings = load_settings(None, [*OVERRIDES, f"model.device={device}"])
    recipe = Recipe.from_settings(settings)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-speed-") as scratch:
        trained = finetune(TrainingJob(recipe, prepare(settings).train, Path(scratch) / "adapter"))
    return speed_of(device, recipe.plan.precision, [point["tokens_per_second"] for point in trained.curve])


def speed_of(device: str, precision: str, tokens_per_second: Sequence[float]) -> Speed:
    """Return the speed from the throughput of each step."""
    counted = list(tokens_per_second[WARM_UP_STEPS:]) or list(tokens_per_second)
    return Speed(device, precision, median(counted), min(counted), max(counted), len(counted))


def measure_in_subprocess(device: str) -> Speed:
    """Measure in a process of its own, and save the result.

    Raises:
        TrainingError: the process failed or took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dashboard.queries.device_speed", device],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TrainingError(f"The measurement on {device} took more than {TIMEOUT_SECONDS:.0f} s.") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"it exited with code {done.returncode}"]
        raise TrainingError(f"The measurement on {device} failed: {lines[-1]}")
    result = done.stdout.strip().splitlines()[-1]
    file = _file(device)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(result, encoding="utf-8")
    return Speed(**json.loads(result))


def saved_speed(device: str) -> Speed | None:
    """Return the last measurement on this machine, or None."""
    file = _file(device)
    return Speed(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def estimated_speeds() -> list[tuple[str, str, float]]:
    """Return name, precision and estimated tokens per second of common GPUs with the embedded model."""
    from review_sentiment.resources.memory import SHAPES
    from review_sentiment.resources.throughput import GPU_UTILISATION, GPUS, operations_per_token

    operations = operations_per_token(SHAPES["embedded"], recomputed=1)
    return [(gpu.name, gpu.precision, GPU_UTILISATION * gpu.peak / operations) for gpu in GPUS]


def _file(device: str) -> Path:
    return cache_directory() / "dashboard" / f"speed_{device}.json"


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1]))))
