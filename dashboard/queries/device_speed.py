"""How fast this machine trains, on its processor and on its GPU: a few measured steps of the embedded model.

    python -m dashboard.queries.device_speed cpu --json

Each device is measured in a process of its own, which the page starts and reads; where there is no GPU
the figures of common ones are estimates.
"""

from __future__ import annotations

import argparse
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
"""First steps that are left out: the heaviest batch and the compiled kernels come first."""
MOST_SECONDS = 300.0
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
    """Tokens a second of the steps after the first ones: their median, least and most."""

    device: str
    precision: str
    tokens_per_second: float
    low: float
    high: float
    steps: int


def measure(device: str) -> Speed:
    """Train a few steps on a device.

    Raises:
        UsageError: there is no such device.
        DataError: the embedded reviews are not there.
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
    """Return the speed of a training's steps."""
    counted = list(tokens_per_second[WARM_UP_STEPS:]) or list(tokens_per_second)
    return Speed(device, precision, median(counted), min(counted), max(counted), len(counted))


def measure_in_subprocess(device: str) -> Speed:
    """Measure in a process of its own, and keep the figure.

    Raises:
        TrainingError: the process failed or took too long.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dashboard.queries.device_speed", device, "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TrainingError(f"The measurement on {device} took more than {MOST_SECONDS:.0f} s.") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise TrainingError(f"The measurement on {device} failed: {said[-1]}")
    speed = Speed(**json.loads(done.stdout.strip().splitlines()[-1]))
    file = _file(device)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(speed)), encoding="utf-8")
    return speed


def saved_speed(device: str) -> Speed | None:
    """Return what was measured here before, or None."""
    file = _file(device)
    return Speed(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def estimated_speeds() -> list[tuple[str, str, float]]:
    """Return name, precision and estimated tokens a second of common GPUs with the embedded model."""
    from review_sentiment.resources.memory import SHAPES
    from review_sentiment.resources.throughput import GPU_UTILISATION, GPUS, operations_per_token

    operations = operations_per_token(SHAPES["embedded"], checkpointing=True)
    return [(gpu.name, gpu.precision, GPU_UTILISATION * gpu.peak / operations) for gpu in GPUS]


def _file(device: str) -> Path:
    return cache_directory() / "dashboard" / f"speed_{device}.json"


def main() -> None:
    """Measure the device that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", choices=("cpu", "cuda"))
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    speed = measure(options.device)
    if options.json:
        print(json.dumps(asdict(speed)))
    else:
        print(
            f"{speed.device}, {speed.precision}: {speed.tokens_per_second:.0f} tokens a second "
            f"({speed.low:.0f}-{speed.high:.0f}, {speed.steps} steps)"
        )


if __name__ == "__main__":
    main()
