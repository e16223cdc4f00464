"""Whether a training fits, before it starts: refuse it, or change only what leaves its result unchanged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import TrainingError
from review_sentiment.resources import device
from review_sentiment.resources.memory import Memory, memory_of

if TYPE_CHECKING:
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.resources.micro_batches import Rows

logger = logging.getLogger(__name__)


class FitError(TrainingError):
    """The training does not fit into the memory of its device."""


@dataclass(frozen=True)
class SmallerRecipe:
    """A recipe that needs less memory, and the setting that it changes."""

    recipe: Recipe
    rows: Rows
    change: str
    same_result: bool


def fitted(recipe: Recipe, rows: Rows) -> tuple[Recipe, Memory]:
    """Return a recipe that fits, and the memory that it should need.

    Raises:
        FitError: the training does not fit (`training.fit`: refuse), or only with another result.
    """
    usable = device.usable_bytes(recipe.plan.device)
    expected = memory_of(recipe, rows)
    fit = recipe.training.fit
    if fit == "ignore" or expected.total <= usable:
        return recipe, expected
    shortage = (
        f"This training needs about {expected.total / 1e9:.1f} GB and {usable / 1e9:.1f} GB are free on "
        f"{device.device_name(recipe.plan)} (batch_size {recipe.training.batch_size}, "
        f"tokens_per_pass {recipe.training.tokens_per_pass}, longest review {rows.longest} tokens, "
        f"rank {recipe.lora.rank})."
    )
    fits, changes = first_that_fits(recipe, rows, usable)
    if fits is None:
        raise FitError(
            f"{shortage} Not even {changes} would be enough. Choose a smaller model or a larger device. "
            "`python run_pipeline.py estimate` shows what would fit where."
        )
    found = memory_of(fits.recipe, fits.rows)
    if fit == "adapt" and fits.same_result:
        logger.warning("%s Training continues with %s: the result is the same.", shortage, changes)
        return fits.recipe, found
    raise FitError(
        f"{shortage} This would fit: {changes} ({found.total / 1e9:.1f} GB). "
        "Set these, or set training.fit=ignore to try anyway."
    )


def first_that_fits(recipe: Recipe, rows: Rows, usable: float) -> tuple[SmallerRecipe | None, str]:
    """Return the first smaller recipe that fits into the usable bytes, and all changes up to it.

    If none fits there is no recipe, and the changes are all that were tried.
    """
    changes = []
    for candidate in smaller_recipes(recipe, rows):
        changes.append(candidate.change)
        if memory_of(candidate.recipe, candidate.rows).total <= usable:
            return candidate, ", ".join(changes)
    return None, ", ".join(changes)


def smaller_recipes(recipe: Recipe, rows: Rows) -> Iterator[SmallerRecipe]:
    """Yield recipes that need less and less memory, those with the same result first."""
    if recipe.dequantises_once:
        recipe = recipe.with_training(dequantise_once=False)
        yield SmallerRecipe(recipe, rows, "training.dequantise_once=false", same_result=True)
    tokens = recipe.training.tokens_per_pass
    while tokens > rows.longest:
        tokens = max(rows.longest, tokens // 2)
        recipe = recipe.with_training(tokens_per_pass=tokens)
        yield SmallerRecipe(recipe, rows, f"training.tokens_per_pass={tokens}", same_result=True)
    if not recipe.checkpoints_activations:
        recipe = recipe.with_training(gradient_checkpointing=True)
        yield SmallerRecipe(recipe, rows, "training.gradient_checkpointing=true", same_result=True)
    shorter = rows.longest // 2
    rows = rows.truncated(shorter)
    recipe = recipe.with_training(tokens_per_pass=shorter)
    yield SmallerRecipe(recipe, rows, f"prompt.max_tokens={shorter}", same_result=False)
    recipe = recipe.with_rank(max(1, recipe.lora.rank // 2))
    yield SmallerRecipe(recipe, rows, f"lora.rank={recipe.lora.rank}", same_result=False)


def out_of_memory(recipe: Recipe, tokens: int) -> TrainingError:
    """Return the error for a review of so many tokens that does not fit, whatever was estimated."""
    training = recipe.training
    return TrainingError(
        f"Memory ran out on {device.device_name(recipe.plan)} although a single review of {tokens} tokens "
        f"was trained on at a time (batch_size {training.batch_size}, rank {recipe.lora.rank}, "
        f"gradient_checkpointing {training.gradient_checkpointing}). Set "
        f"training.gradient_checkpointing=true, a shorter prompt.max_tokens or {_half_the_rank(recipe)}, or "
        "choose a smaller model. End other programs that use the device. The last checkpoint is kept."
    )


def out_of_memory_elsewhere(recipe: Recipe) -> TrainingError:
    """Return the error for memory that ran out outside the micro-batches: smaller ones would not help."""
    return TrainingError(
        f"Memory ran out on {device.device_name(recipe.plan)} outside the micro-batches: on the model, its "
        f"adapters (rank {recipe.lora.rank}), or the optimizer's state. A smaller training.tokens_per_pass "
        f"does not help: set {_half_the_rank(recipe)} or choose a smaller model. End other programs that use "
        "the device. The last checkpoint is kept."
    )


def _half_the_rank(recipe: Recipe) -> str:
    return f"lora.rank={max(1, recipe.lora.rank // 2)}"
