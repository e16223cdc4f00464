"""Estimates the memory and time of a training, on this machine and on common GPUs, and what would fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from front_door.run.training_data import MEAN_LENGTH, TrainingData, assumed
from review_sentiment.models.base_model import identify
from review_sentiment.models.compute import gpu_plan, plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.progress import duration
from review_sentiment.resources import device
from review_sentiment.resources.device import GPU_USABLE
from review_sentiment.resources.memory import Memory, shape_of
from review_sentiment.resources.memory_fit import SHORTEST_PROMPT, Fit, judge
from review_sentiment.resources.throughput import (
    CPU_UTILISATION,
    GPU_UTILISATION,
    GPUS,
    matrix_speed,
    scoring_seconds,
    training_seconds,
)

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.models.compute import ComputePlan

TIGHT = 0.85
"""Fraction of the usable memory above which a training is `tight`."""
HOUR = 3_600


@dataclass(frozen=True)
class DeviceEstimate:
    """The estimate for one device: memory needed and usable (bytes), hours, and the change that would fit.

    `verdict` is `fits`, `tight`, `adapts` (fits after the change, which leaves the result as it is), `may not
    fit` (the longest review decides and is not known, or `training.fit` is `ignore`), or `does not fit`.
    """

    device: str
    precision: str
    checkpointing: bool
    memory: Memory
    usable: float
    verdict: str
    would_fit: str
    hours: float

    def described(self) -> str:
        """Return the verdict, the memory and the time in one sentence."""
        needs = f"it needs {self.memory.total / 1e9:.1f} GB, and {self.usable / 1e9:.1f} GB are usable"
        if self.verdict == "does not fit":
            change = f"{self.would_fit} would fit" if self.would_fit else "no setting makes it small enough"
            return f"training does not fit: {needs}; {change}"
        how = f"{self.verdict}: {needs}"
        if self.verdict == "adapts":
            how = f"fits with {self.would_fit}, which leaves the result as it is; without, {needs}"
        return f"training {how}; it takes about {duration(self.hours * HOUR)}"


@dataclass(frozen=True)
class Estimate:
    """The estimates for all devices, for these training reviews; `title` summarises the settings."""

    title: str
    reviews: str
    rows: tuple[DeviceEstimate, ...]

    def as_json(self) -> dict[str, object]:
        """Return the estimate for `--json`."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the table for the terminal."""
        heading = (
            f"{'device':14}{'precision':>10}{'checkp.':>9}{'weights':>9}{'adapter':>9}{'activ.':>8}"
            f"{'other':>7}{'needs':>8}{'usable':>8}  {'':13}  time"
        )
        lines = [
            self.title,
            f"memory in GB (1e9 bytes), time for {self.reviews}",
            "",
            heading,
        ]
        for row in self.rows:
            m = row.memory
            lines.append(
                f"{row.device:14}{row.precision:>10}{'yes' if row.checkpointing else 'no':>9}"
                f"{m.weights / 1e9:9.1f}{m.adapters / 1e9:9.2f}{m.activations / 1e9:8.2f}"
                f"{(m.logits + m.dequantised + m.overhead) / 1e9:7.1f}{m.total / 1e9:8.1f}"
                f"{row.usable / 1e9:8.1f}  {row.verdict:13}  {duration(row.hours * HOUR)}"
            )
            if row.would_fit:
                how = "with" if row.verdict == "adapts" else "would fit:"
                lines.append(f"{'':14}{how} {row.would_fit}")
        lines += [
            "",
            "The time for this machine is based on its measured speed of matrix products; the times for the "
            f"GPUs assume {GPU_UTILISATION:.0%} of their peak.",
        ]
        return "\n".join(lines)


def estimate_training(settings: Settings, data: TrainingData | None = None) -> Estimate:
    """Return the estimates for this machine and for common GPUs.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    data = data or assumed(settings)
    rows = [estimate_here(settings, data)]
    for gpu in GPUS:
        recipe = Recipe.from_settings(settings, gpu_plan(gpu.precision))
        device_speed = GPU_UTILISATION * gpu.peak
        rows.append(_estimate(settings, recipe, gpu.name, (GPU_USABLE * gpu.memory, device_speed), data))
    base, lora, training = identify(settings.model), settings.lora, settings.training
    title = (
        f"{base.title}, {base.quantization}: batch_size {training.batch_size}, tokens_per_pass "
        f"{training.tokens_per_pass}, max_tokens {settings.prompt.max_tokens}, rank {lora.rank}"
    )
    return Estimate(title, data.described(settings), tuple(rows))


def estimate_here(settings: Settings, data: TrainingData | None = None) -> DeviceEstimate:
    """Return the estimate for this machine.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    wanted, precision = settings.model.device, settings.model.precision
    plan = plan_compute("auto" if wanted == "cuda" else wanted)
    if plan.device == "cuda" or precision != "fp16":  # settings for a GPU are estimated here too
        plan = plan_compute(plan.device, precision)
    found = device.usable_bytes(plan.device), _speed(settings, plan)
    recipe = Recipe.from_settings(settings, plan)
    return _estimate(settings, recipe, "this machine", found, data or assumed(settings))


def scoring_here(settings: Settings, reviews: int) -> float:
    """Return how many seconds this machine takes to score `reviews` reviews."""
    plan = plan_compute(settings.model.device, settings.model.precision)
    tokens = reviews * MEAN_LENGTH * settings.prompt.max_tokens
    return scoring_seconds(shape_of(identify(settings.model)), tokens, _speed(settings, plan))


def _speed(settings: Settings, plan: ComputePlan) -> float:
    """Return the operations per second that this machine reaches."""
    utilisation = GPU_UTILISATION if plan.device == "cuda" else CPU_UTILISATION
    return utilisation * matrix_speed(shape_of(identify(settings.model)), plan.dtype, plan.device)


def fit_of(settings: Settings, recipe: Recipe, data: TrainingData, usable: float) -> tuple[Fit, str]:
    """Return whether a training fits into the usable bytes, and the verdict."""
    found = judge(recipe, data.rows(settings, recipe), usable)
    if found.fits:
        chosen = any(key.startswith("training.") for key in found.recipe.plan.reasons)
        tight = found.expected.total > TIGHT * usable and not chosen
        return found, "tight" if tight else "fits"
    if found.adapts:
        return found, "adapts"
    if recipe.training.fit == "ignore":
        return found, "may not fit"
    # The longest review may be shorter than the maximum: then the training may still fit.
    shortest = judge(recipe, found.rows.truncated(SHORTEST_PROMPT), usable) if not data.lengths else found
    return found, "may not fit" if shortest.runs else "does not fit"


def _estimate(
    settings: Settings, recipe: Recipe, device: str, limits: tuple[float, float], data: TrainingData
) -> DeviceEstimate:
    """Return the estimate for a device with its limits: usable memory in bytes, and speed in FLOP/s."""
    usable, speed = limits
    found, verdict = fit_of(settings, recipe, data, usable)
    shape, recipe = shape_of(recipe.base), found.recipe
    return DeviceEstimate(
        device=device,
        precision=recipe.plan.precision,
        checkpointing=recipe.checkpoints_activations,
        memory=found.expected,
        usable=usable,
        verdict=verdict,
        would_fit=str(found.smaller or ""),
        hours=training_seconds(shape, data.tokens(settings), speed, recipe.recomputed_fraction) / HOUR,
    )
