"""Which of the plans with the same result trains fastest on a GPU and still fits its memory.

A plan is how many layers are recomputed in the backward pass, whether the 4-bit weights are kept dequantised,
and how many tokens a micro-batch has. Each setting that is `auto` is chosen; the others stay as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from review_sentiment.models.recipe import LARGEST_BUDGET, Recipe
from review_sentiment.resources.memory import Memory
from review_sentiment.resources.micro_batches import Rows

AUTO: Mapping[str, tuple[Any, ...]] = {
    "gradient_checkpointing": (False, 4, 2, True),  # no layer, every fourth, every second, all
    "dequantise_once": (True, False),
    "tokens_per_pass": (LARGEST_BUDGET, 8_192, 4_096, 2_048, 1_024, 512),
}
"""The settings that can be chosen, and their values."""
DEQUANTISING_TOKENS = 30
"""Dequantising all weights takes as long as the products of so many tokens: an 8B moves 18 GB at 2 TB/s, and
a token takes 0.3 ms at 30 % of an A100's peak. An estimate, not measured."""
FIXED_TOKENS = 128
"""So many tokens' time is lost in each micro-batch to small products and launches. An assumption."""


def fastest_that_fits(
    recipe: Recipe, rows: Rows, usable: float, needs: Callable[[Recipe, Rows], Memory]
) -> Recipe:
    """Return the recipe with its `auto` settings chosen; if nothing fits, the plan that needs least."""
    found = sorted(plans(recipe), key=lambda plan: (cost(plan, rows), needs(plan, rows).total))
    fitting = (plan for plan in found if needs(plan, rows).total <= usable)
    chosen = next(fitting, None) or min(found, key=lambda plan: needs(plan, rows).total)
    reason = f"auto: the fastest plan that fits {usable / 1e9:.1f} GB, by the estimate"
    reasons = {f"training.{key}": reason for key in AUTO if getattr(recipe.training, key) == "auto"}
    return replace(chosen, plan=replace(chosen.plan, reasons={**chosen.plan.reasons, **reasons}))


def plans(recipe: Recipe) -> Iterator[Recipe]:
    """Yield the recipe with each combination of the settings that are `auto`."""
    training = recipe.training
    options = [
        values if getattr(training, key) == "auto" else (getattr(training, key),)
        for key, values in AUTO.items()
    ]
    for values in itertools.product(*options):
        yield recipe.with_training(**dict(zip(AUTO, values, strict=True)))


def cost(recipe: Recipe, rows: Rows) -> float:
    """Return the time of a token, in products of a token with all weights."""
    tokens = rows.heaviest(recipe.token_budget, recipe.plan.packs_rows).tokens
    # Forward, backward (the weights have no gradient), and forward again for the recomputed layers.
    products = 2 + recipe.recomputed_fraction
    dequantising = 0 if recipe.dequantises_once else products * DEQUANTISING_TOKENS / tokens
    return products * (1 + FIXED_TOKENS / tokens) + dequantising
