"""What a training would take, on this machine and on common GPUs: memory, time, and what would fit."""

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
"""Mean length of a chat as a share of the longest: of the embedded reviews, 108 of 192 tokens."""
TIGHT = 0.85
"""Share of the usable memory from which on a training is called tight."""
HOUR = 3_600


@dataclass(frozen=True)
class Row:
    """One device: bytes that are needed and usable, the verdict, what would fit, and the hours."""

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
    """The settings in a line, the reviews that the hours are for, and a row a device."""

    title: str
    reviews: int
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, object]:
        """Return the estimate for `--json`."""
        return asdict(self)

    def as_text(self) -> str:
        """Return the table for a person."""
        heading = (
            f"{'device':14}{'precision':>10}{'checkp.':>9}{'weights':>9}{'adapter':>9}{'activ.':>8}"
            f"{'other':>7}{'needs':>8}{'usable':>8}  {'':13}{'hours':>7}"
        )
        lines = [self.title, f"memory in GB (1e9 bytes), hours for {reviews_said(self.reviews)}", "", heading]
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
            "Hours here follow from a measurement of this machine's matrix products; those of the GPUs "
            f"assume {GPU_UTILISATION:.0%} of the peak.",
        ]
        return "\n".join(lines)


def estimate_training(settings: Settings) -> Estimate:
    """Return what the settings' training would take here and elsewhere.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    rows = [estimate_here(settings)]
    rows += [
        _row(settings, gpu_plan(gpu.precision), gpu.name, GPU_USABLE * gpu.memory, GPU_UTILISATION * gpu.peak)
        for gpu in GPUS
    ]
    base, lora, training = identify(settings.model), settings.lora, settings.training
    title = (
        f"{base.title}, {base.quantization}: batch_size {training.batch_size}, tokens_per_pass "
        f"{training.tokens_per_pass}, max_tokens {settings.prompt.max_tokens}, rank {lora.rank}"
    )
    return Estimate(title, most_reviews(settings), tuple(rows))


def most_reviews(settings: Settings) -> int:
    """Return how many reviews the settings train on at most, those of a second epoch counted again.

    A category that has fewer than its cap, or too few of a class, and `patience` make it fewer.
    """
    data, training = settings.data, settings.training
    if training.max_steps > 0:
        return training.max_steps * training.batch_size
    return round(training.epochs * len(data.categories) * settings.split.train_per_category)


def reviews_said(reviews: int) -> str:
    """Return the number that hours are for, and what it is."""
    return f"{reviews:,} reviews of mean length, the most that these settings train on"


def estimate_here(settings: Settings) -> Row:
    """Return what the settings' training would take on this machine.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    plan = plan_compute(settings.model.device if settings.model.device != "cuda" else "auto")
    utilisation = GPU_UTILISATION if plan.device == "cuda" else CPU_UTILISATION
    speed = utilisation * matrix_speed(shape_of(identify(settings.model)), plan.dtype, plan.device)
    return _row(settings, plan, "this machine", device.usable_bytes(plan.device), speed)


def _row(settings: Settings, plan: ComputePlan, device: str, usable: float, speed: float) -> Row:
    """Return the row of a device with so many usable bytes and operations a second."""
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
    tokens = most_reviews(settings) * longest * MEAN_LENGTH
    return Row(
        device=device,
        precision=plan.precision,
        checkpointing=recipe.checkpoints_activations,
        memory=memory,
        usable=usable,
        verdict=verdict,
        would_fit=would_fit,
        hours=training_seconds(shape_of(recipe.base), tokens, speed, recipe.checkpoints_activations) / HOUR,
    )
