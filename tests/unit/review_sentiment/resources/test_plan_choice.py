"""The plan for a GPU is the fastest one that fits by the estimate."""

from __future__ import annotations

from typing import Any

import pytest

from review_sentiment.config import LoraSettings, TrainingSettings
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import gpu_plan
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources.device import GPU_USABLE
from review_sentiment.resources.memory import SHAPES, Memory, estimate, load_of
from review_sentiment.resources.memory_fit import judge
from review_sentiment.resources.micro_batches import PlannedRows, Rows
from review_sentiment.resources.plan_choice import cost, plans
from review_sentiment.training.decisions import decisions

NAME = "meta-llama/Llama-3.1-8B-Instruct"
ROWS = PlannedRows(512, 16)
GB = 2**30


def recipe_of(precision: str = "bf16", **training: Any) -> Recipe:
    settings = TrainingSettings(**{"tokens_per_pass": "auto", **training})
    plan = gpu_plan(precision, {"device": "a GPU", "precision": "native"})
    return Recipe(ModelIdentity(NAME, None, "nf4", NAME), plan, LoraSettings(), settings, 0)


def needs(recipe: Recipe, rows: Rows) -> Memory:
    return estimate(SHAPES[NAME], load_of(recipe, rows), "cuda")


@pytest.mark.parametrize("gigabytes", [12, 16, 24, 40, 80])
def test_the_chosen_plan_fits_a_card_and_no_faster_one_does(gigabytes: int) -> None:
    usable = GPU_USABLE * gigabytes * GB
    recipe = recipe_of()
    found = judge(recipe, ROWS, usable)
    assert found.fits
    faster = [plan for plan in plans(recipe) if cost(plan, ROWS) < cost(found.recipe, ROWS)]
    assert all(needs(plan, ROWS).total > usable for plan in faster)
    assert faster or gigabytes == 80


def test_a_card_without_flash_attention_keeps_probabilities() -> None:
    fixed = {"tokens_per_pass": 2_048, "gradient_checkpointing": False}
    t4, newer = (needs(recipe_of(precision, **fixed), ROWS).activations for precision in ("fp16", "bf16"))
    # 4 rows of 512 x 512 probabilities, 2 bytes each, in each of 32 heads and 32 layers.
    assert t4 - newer == 4 * 512 * 512 * 32 * 32 * 2


def test_more_memory_is_never_slower() -> None:
    costs = [cost(judge(recipe_of(), ROWS, gigabytes * GB).recipe, ROWS) for gigabytes in range(8, 100, 2)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]


def test_each_setting_can_be_fixed_alone() -> None:
    """The others are chosen around it, and the run says which."""
    for key, value in {"gradient_checkpointing": 2, "dequantise_once": True, "tokens_per_pass": 700}.items():
        found = judge(recipe_of(**{key: value}), ROWS, 80 * GB).recipe
        assert getattr(found.training, key) == value
        said = "\n".join(map(str, decisions(found, ROWS)))
        assert said.count("auto: the fastest plan that fits 85.9 GB, by the estimate") == 2


def test_if_nothing_fits_the_smallest_plan_is_judged() -> None:
    found = judge(recipe_of(), ROWS, 5e9)
    assert not found.fits
    assert needs(found.recipe, ROWS).total == min(needs(plan, ROWS).total for plan in plans(recipe_of()))
