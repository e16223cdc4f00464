"""Whether a training fits, before it starts: refuse it, or change only what leaves its result unchanged."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import TrainingError
from review_sentiment.resources import device
from review_sentiment.resources.memory import CPU_PROCESS_BYTES, Memory, estimate, load_of, shape_of
from review_sentiment.resources.plan_choice import fastest_that_fits

if TYPE_CHECKING:
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.resources.micro_batches import Rows

SHORTEST_PROMPT = 48
"""The least that prompt.max_tokens accepts."""

logger = logging.getLogger(__name__)


class FitError(TrainingError):
    """The training does not fit into the memory of its device."""


@dataclass(frozen=True)
class SmallerRecipe:
    """A recipe that needs less memory, and all settings that it changes; `same_result` if no result does."""

    recipe: Recipe
    rows: Rows
    settings: Mapping[str, Any]
    same_result: bool

    def __str__(self) -> str:
        return ", ".join(f"{key}={str(value).lower()}" for key, value in self.settings.items())


@dataclass(frozen=True)
class Fit:
    """Whether a training fits: what it needs and may use, in bytes, and the smallest change that fits.

    `smaller` is None if no change is needed, or none is enough; it needs `expected_smaller`.
    """

    recipe: Recipe
    rows: Rows
    expected: Memory
    usable: float
    smaller: SmallerRecipe | None = None
    expected_smaller: Memory | None = None

    @property
    def fits(self) -> bool:
        """Return whether the training fits as it is."""
        return self.expected.total <= self.usable

    @property
    def adapts(self) -> bool:
        """Return whether the training changes settings that leave its result as it is, and then fits."""
        return self.recipe.training.fit == "adapt" and self.smaller is not None and self.smaller.same_result

    @property
    def runs(self) -> bool:
        """Return whether the training starts."""
        return self.fits or self.adapts or self.recipe.training.fit == "ignore"

    @property
    def shortage(self) -> str:
        """Return how much memory the training needs and has, for a message."""
        recipe = self.recipe
        return (
            f"This training needs about {self.expected.total / 1e9:.1f} GB and {self.usable / 1e9:.1f} GB "
            f"are free on {device.device_name(recipe.plan)} (batch_size {recipe.training.batch_size}, "
            f"tokens_per_pass {recipe.token_budget}, longest review {self.rows.longest} tokens, "
            f"rank {recipe.lora.rank})."
        )

    def require(self) -> None:
        """Refuse a training that does not start.

        Raises:
            FitError: it does not fit (`training.fit`: refuse), or only with another result.
        """
        if self.runs:
            return
        if self.smaller is None or self.expected_smaller is None:
            raise FitError(
                f"{self.shortage} No setting makes it small enough. Choose a smaller model or a larger "
                "device: `python run_pipeline.py estimate` shows what fits where."
            )
        raise FitError(
            f"{self.shortage} This would fit: {self.smaller} ({self.expected_smaller.total / 1e9:.1f} GB). "
            "Set it, or set training.fit=ignore to try anyway."
        )


def judge(recipe: Recipe, rows: Rows, usable: float, process: float = CPU_PROCESS_BYTES) -> Fit:
    """Return whether a training on these rows fits into the usable bytes.

    `process` are the bytes that a process on a CPU has before it loads the model.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    shape = shape_of(recipe.base)

    def needs(recipe: Recipe, rows: Rows) -> Memory:
        return estimate(shape, load_of(recipe, rows), recipe.plan.device, process)

    if recipe.plan.device == "cuda":
        recipe = fastest_that_fits(recipe, rows, usable, needs)
    expected = needs(recipe, rows)
    if expected.total <= usable:
        return Fit(recipe, rows, expected, usable)
    for smaller in smaller_recipes(recipe, rows):
        found = needs(smaller.recipe, smaller.rows)
        if found.total <= usable:
            return Fit(recipe, rows, expected, usable, smaller, found)
    return Fit(recipe, rows, expected, usable)


def fitted(recipe: Recipe, rows: Rows) -> tuple[Recipe, Memory]:
    """Return a recipe that fits, and the memory that it should need in this process.

    Raises:
        FitError: the training does not fit (`training.fit`: refuse), or only with another result.
    """
    on = recipe.plan.device
    found = judge(recipe, rows, device.usable_bytes(on), device.process_bytes())
    found.require()
    if not found.adapts or found.smaller is None or found.expected_smaller is None:
        return found.recipe, found.expected
    logger.warning("%s Training continues with %s: the result is the same.", found.shortage, found.smaller)
    return found.smaller.recipe, found.expected_smaller


def smaller_recipes(recipe: Recipe, rows: Rows) -> Iterator[SmallerRecipe]:
    """Yield recipes that need less memory: those with the same result first, then single changes first."""
    passes = [{"tokens_per_pass": tokens} for tokens in _halves(recipe.token_budget, rows.longest)]
    dequantised = [{"dequantise_once": False}] * recipe.dequantises_once
    recomputed = [{"gradient_checkpointing": True}] * (not recipe.checkpoints_activations)
    changed: dict[str, Any] = {}
    # Recomputing costs a third of the speed, dequantising in each pass a tenth, smaller passes little.
    for changes in itertools.product([{}, *recomputed], [{}, *passes], [{}, *dequantised]):
        changed = {f"training.{key}": value for change in changes for key, value in change.items()}
        if changed:
            yield _smaller(recipe, rows, changed)
    lengths = [{"prompt.max_tokens": length} for length in _halves(rows.longest, SHORTEST_PROMPT)]
    ranks = [{"lora.rank": rank} for rank in _halves(recipe.lora.rank, 1)]
    for other in (*lengths, *ranks):
        yield _smaller(recipe, rows, other)
    for length, rank in itertools.product(lengths or [{}], [{}, *ranks]):
        passes_of_one = {"training.tokens_per_pass": length["prompt.max_tokens"]} if length else {}
        yield _smaller(recipe, rows, changed | passes_of_one | length | rank)


def _smaller(recipe: Recipe, rows: Rows, settings: Mapping[str, Any]) -> SmallerRecipe:
    training = {
        key.removeprefix("training."): value for key, value in settings.items() if key.startswith("training.")
    }
    return SmallerRecipe(
        recipe.with_training(**training).with_rank(settings.get("lora.rank", recipe.lora.rank)),
        rows.truncated(settings.get("prompt.max_tokens", rows.longest)),
        settings,
        same_result=len(training) == len(settings),
    )


def _halves(value: int, least: int) -> Iterator[int]:
    """Yield half of the value, half of that, and so on, down to the least."""
    while value > least:
        value = max(least, value // 2)
        yield value


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
