"""Whether a training fits, before it starts: refuse it, or change what leaves its result as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import TrainingError
from review_sentiment.resources import device
from review_sentiment.resources.memory import Memory, ModelShape, estimate, load_of, shape_of

if TYPE_CHECKING:
    from review_sentiment.config import LoraSettings, TrainingSettings
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.models.compute import ComputePlan
    from review_sentiment.resources.micro_batches import Rows


logger = logging.getLogger(__name__)


class FitError(TrainingError):
    """The training does not fit into the memory of its device."""


@dataclass(frozen=True)
class Candidate:
    """Settings that take less memory, and how to say what they change."""

    training: TrainingSettings
    lora: LoraSettings
    rows: Rows
    change: str
    same_result: bool


def fitted(
    base: ModelIdentity, plan: ComputePlan, lora: LoraSettings, training: TrainingSettings, rows: Rows
) -> tuple[TrainingSettings, Memory]:
    """Return settings that fit, and the memory they should take.

    Raises:
        FitError: the training does not fit (`training.fit`: refuse), or not without changing its result.
    """
    shape, usable = shape_of(base), device.usable_bytes(plan.device)

    def need(training: TrainingSettings, lora: LoraSettings, rows: Rows) -> Memory:
        return estimate(shape, load_of(training, lora, base, plan, rows), plan.device)

    expected = need(training, lora, rows)
    if training.fit == "ignore" or expected.total <= usable:
        return training, expected
    shortage = (
        f"This training needs about {expected.total / 1e9:.1f} GB and {usable / 1e9:.1f} GB are free on "
        f"{device.device_name(plan)} (batch_size {training.batch_size}, "
        f"tokens_per_pass {training.tokens_per_pass}, longest review {rows.longest} tokens, "
        f"rank {lora.rank})."
    )
    fits, changes = first_that_fits(base, plan, lora, training, rows, shape, usable)
    if fits is None:
        raise FitError(
            f"{shortage} Not even {changes} would do: take a smaller model or a larger device. "
            "`python run_pipeline.py estimate` shows what would fit where."
        )
    found = need(fits.training, fits.lora, fits.rows)
    if training.fit == "adapt" and fits.same_result:
        logger.warning("%s It goes on with %s: the result is the same.", shortage, changes)
        return fits.training, found
    raise FitError(
        f"{shortage} This would fit: {changes} ({found.total / 1e9:.1f} GB). "
        "Set these, or training.fit=ignore to try all the same."
    )


def first_that_fits(
    base: ModelIdentity,
    plan: ComputePlan,
    lora: LoraSettings,
    training: TrainingSettings,
    rows: Rows,
    shape: ModelShape,
    usable: float,
) -> tuple[Candidate | None, str]:
    """Return the first smaller settings that fit into the usable bytes, and all changes up to there.

    Where none does there is no candidate, and the changes are all that were tried.
    """
    changes = []
    for candidate in smaller(training, lora, plan, rows):
        changes.append(candidate.change)
        load = load_of(candidate.training, candidate.lora, base, plan, candidate.rows)
        if estimate(shape, load, plan.device).total <= usable:
            return candidate, ", ".join(changes)
    return None, ", ".join(changes)


def smaller(
    training: TrainingSettings, lora: LoraSettings, plan: ComputePlan, rows: Rows
) -> Iterator[Candidate]:
    """Yield settings that take less and less memory, those that leave the result as it is first."""
    if plan.dequantises_once(training.dequantise_once):
        training = training.model_copy(update={"dequantise_once": False})
        yield Candidate(training, lora, rows, "training.dequantise_once=false", same_result=True)
    tokens = training.tokens_per_pass
    while tokens > rows.longest:
        tokens = max(rows.longest, tokens // 2)
        training = training.model_copy(update={"tokens_per_pass": tokens})
        yield Candidate(training, lora, rows, f"training.tokens_per_pass={tokens}", same_result=True)
    if training.gradient_checkpointing is False or not plan.gradient_checkpointing:
        training = training.model_copy(update={"gradient_checkpointing": True})
        yield Candidate(training, lora, rows, "training.gradient_checkpointing=true", same_result=True)
    shorter = rows.longest // 2
    rows = rows.cut(shorter)
    training = training.model_copy(update={"tokens_per_pass": shorter})
    yield Candidate(training, lora, rows, f"prompt.max_tokens={shorter}", same_result=False)
    lora = lora.model_copy(update={"rank": max(1, lora.rank // 2)})
    yield Candidate(training, lora, rows, f"lora.rank={lora.rank}", same_result=False)


def out_of_memory(
    tokens: int, plan: ComputePlan, lora: LoraSettings, training: TrainingSettings
) -> TrainingError:
    """Return what to tell a person when memory ran out in spite of the estimate."""
    return TrainingError(
        f"Memory ran out on {device.device_name(plan)} although one review of {tokens} tokens was trained on "
        f"at a time (batch_size {training.batch_size}, rank {lora.rank}, gradient_checkpointing "
        f"{training.gradient_checkpointing}). Set training.gradient_checkpointing=true, a shorter "
        f"prompt.max_tokens, lora.rank={max(1, lora.rank // 2)}, or take a smaller model; end other "
        "programs that use the device. The last checkpoint is kept."
    )


def out_of_memory_outside_passes(plan: ComputePlan, lora: LoraSettings) -> TrainingError:
    """Return what to tell a person when memory ran out on what does not grow with the reviews."""
    return TrainingError(
        f"Memory ran out on {device.device_name(plan)} outside the passes over reviews: on the model, on its "
        f"adapters (rank {lora.rank}), or on the optimiser's state. Fewer training.tokens_per_pass do not "
        f"help: set lora.rank={max(1, lora.rank // 2)} or take a smaller model; end other programs that use "
        "the device. The last checkpoint is kept."
    )
