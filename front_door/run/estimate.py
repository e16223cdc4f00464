"""Estimates the memory and time of a training, on this machine and on common GPUs, and what would fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from review_sentiment.models.base_model import identify
from review_sentiment.models.compute import ComputePlan, gpu_plan, plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources import device, memory_fit
from review_sentiment.resources.device import GPU_USABLE
from review_sentiment.resources.memory import Memory, memory_of, shape_of
from review_sentiment.resources.micro_batches import PlannedRows
from review_sentiment.resources.throughput import (
    CPU_UTILISATION,
    GPU_UTILISATION,
    GPUS,
    matrix_speed,
    training_seconds,
)

if TYPE_CHECKING:
    from review_sentiment.config import Settings

MEAN_LENGTH = 0.56
"""Mean length of a chat as a fraction of the maximum: for the embedded reviews, 108 of 192 tokens."""
TIGHT = 0.85
"""Fraction of the usable memory above which a training is `tight`."""
HOUR = 3_600


@dataclass(frozen=True)
class DeviceEstimate:
    """The estimate for one device: memory needed and usable (bytes), hours, and changes that would fit."""

    device: str
    precision: str
    checkpointing: bool
    memory: Memory
    usable: float
    verdict: str
    would_fit: str
    hours: float


@dataclass(frozen=True)
class Estimate:
    """The estimates for all devices, for this number of training reviews; `title` summarises the settings."""

    title: str
    reviews: int
    rows: tuple[DeviceEstimate, ...]

    def as_json(self) -> dict[str, object]:
        """Return the estimate for `--json`."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the table for the terminal."""
        heading = (
            f"{'device':14}{'precision':>10}{'checkp.':>9}{'weights':>9}{'adapter':>9}{'activ.':>8}"
            f"{'other':>7}{'needs':>8}{'usable':>8}  {'':13}{'hours':>7}"
        )
        lines = [
            self.title,
            f"memory in GB (1e9 bytes), hours for {describe_reviews(self.reviews)}",
            "",
            heading,
        ]
        for row in self.rows:
            m = row.memory
            lines.append(
                f"{row.device:14}{row.precision:>10}{'yes' if row.checkpointing else 'no':>9}"
                f"{m.weights / 1e9:9.1f}{m.adapters / 1e9:9.2f}{m.activations / 1e9:8.2f}"
                f"{(m.logits + m.dequantised + m.overhead) / 1e9:7.1f}{m.total / 1e9:8.1f}"
                f"{row.usable / 1e9:8.1f}  {row.verdict:13}{row.hours:7.2f}"
            )
            if row.would_fit:
                lines.append(f"{'':14}would fit: {row.would_fit}")
        lines += [
            "",
            "The hours for this machine are based on its measured speed of matrix products; those for the "
            f"GPUs assume {GPU_UTILISATION:.0%} of their peak.",
        ]
        return "\n".join(lines)


def estimate_training(settings: Settings) -> Estimate:
    """Return the estimates for this machine and for common GPUs.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    rows = [estimate_here(settings)]
    rows += [
        _estimate(
            settings, gpu_plan(gpu.precision), gpu.name, GPU_USABLE * gpu.memory, GPU_UTILISATION * gpu.peak
        )
        for gpu in GPUS
    ]
    base, lora, training = identify(settings.model), settings.lora, settings.training
    title = (
        f"{base.title}, {base.quantization}: batch_size {training.batch_size}, tokens_per_pass "
        f"{training.tokens_per_pass}, max_tokens {settings.prompt.max_tokens}, rank {lora.rank}"
    )
    return Estimate(title, max_training_reviews(settings), tuple(rows))


def max_training_reviews(settings: Settings) -> int:
    """Return the maximum number of reviews that the settings train on; each epoch counts.

    Small categories, unbalanced classes and early stopping reduce it.
    """
    data, training = settings.data, settings.training
    if training.max_steps > 0:
        return training.max_steps * training.batch_size
    return round(training.epochs * len(data.categories) * settings.split.train_per_category)


def describe_reviews(reviews: int) -> str:
    """Return the number of reviews that the hours are for, in words."""
    return f"{reviews:,} reviews of mean length, the maximum for these settings"


def estimate_here(settings: Settings) -> DeviceEstimate:
    """Return the estimate for this machine.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    plan = plan_compute(settings.model.device if settings.model.device != "cuda" else "auto")
    utilisation = GPU_UTILISATION if plan.device == "cuda" else CPU_UTILISATION
    speed = utilisation * matrix_speed(shape_of(identify(settings.model)), plan.dtype, plan.device)
    return _estimate(settings, plan, "this machine", device.usable_bytes(plan.device), speed)


def _estimate(
    settings: Settings, plan: ComputePlan, device: str, usable: float, speed: float
) -> DeviceEstimate:
    """Return the estimate for a device with `usable` bytes of memory and `speed` in FLOP/s."""
    recipe, longest = Recipe.from_settings(settings, plan), settings.prompt.max_tokens
    rows = PlannedRows(longest, settings.training.batch_size)
    memory = memory_of(recipe, rows)
    would_fit = ""
    if memory.total > usable:
        fits, changes = memory_fit.first_that_fits(recipe, rows, usable)
        would_fit = changes if fits else "nothing short of a smaller model"
    verdict = (
        "does not fit" if memory.total > usable else "tight" if memory.total > TIGHT * usable else "fits"
    )
    tokens = max_training_reviews(settings) * longest * MEAN_LENGTH
    return DeviceEstimate(
        device=device,
        precision=plan.precision,
        checkpointing=recipe.checkpoints_activations,
        memory=memory,
        usable=usable,
        verdict=verdict,
        would_fit=would_fit,
        hours=training_seconds(shape_of(recipe.base), tokens, speed, recipe.checkpoints_activations) / HOUR,
    )
