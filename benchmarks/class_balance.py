#!/usr/bin/env python
"""Rare labels: undersampling against weights and adjusted logits in the loss, with 5 % negative reviews.

python benchmarks/class_balance.py [--negatives 16] [--steps 40] [--seeds 5] [--json]

All methods have the same negative reviews and the same number of optimizer steps: undersampling repeats few
reviews, the others see many once. With the defaults, a training takes about 80 s on two quiet cores. Each
trained model gets a decision rule for the best macro-F1 at a share of 5 %, fitted on one half of the
validation reviews; the figure is the macro-F1 at this share on the other half. Seeds choose the reviews and
the start of the adapters; the differences are paired by seed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from front_door.stack.configs import default_config
from review_sentiment.config import Balance, DecisionSettings, Settings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.decision.fit import fit_rule
from review_sentiment.decision.labelled_scores import LabelledScores
from review_sentiment.models.recipe import Recipe
from review_sentiment.scoring.token_budget import token_budget
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.training.preparation import Prepared

METHODS: tuple[Balance, ...] = ("undersample", "none", "weights", "logit_adjusted")
MINORITY = 0.05
RARE, LABELS = "negative", 2


@dataclass(frozen=True)
class Held:
    """Held-out chats: a rule is fitted on the first half, and measured on the second."""

    fitted: ChatDataset
    measured: ChatDataset


def settings_of(method: Balance, steps: int, seed: int) -> Settings:
    """Return the default configuration for a method, with 40 % of the products for the two halves."""
    return load_settings(
        default_config(),
        [
            f"training.balance={method}",
            f"training.max_steps={steps}",
            "training.validations=0",
            "training.batch_size=8",
            "prompt.max_tokens=96",
            "training.epochs=10000",
            "split.evaluation_share=0.01",
            "split.validation_share=0.4",
            f"seed={seed}",
        ],
    )


def training_chats(prepared: Prepared, method: Balance, negatives: int, seed: int) -> ChatDataset:
    """Return reviews of which 5 % are negative, or equally many of each label if the method undersamples."""
    frame = prepared.train.frame.sample(frac=1, random_state=seed)
    others = negatives if method == "undersample" else round(negatives / MINORITY) - negatives
    rows = frame.groupby(frame["label"] == RARE).cumcount()
    kept = frame[rows < np.where(frame["label"] == RARE, negatives, others)]
    return replace(prepared.train, frame=kept.reset_index(drop=True))


def macro_f1(train: ChatDataset, settings: Settings, held: Held) -> float:
    """Train, fit a decision rule, and return the macro-F1 at the share on the other half."""
    from review_sentiment.models.loading import load_adapted_model, load_tokenizer
    from review_sentiment.scoring.label_scoring import score_once
    from review_sentiment.training.job import TrainingJob
    from review_sentiment.training.qlora import finetune

    recipe = Recipe.from_settings(settings)
    with tempfile.TemporaryDirectory() as scratch:
        adapter = Path(scratch) / "adapter"
        finetune(TrainingJob(recipe, train, adapter))
        model, tokenizer = load_adapted_model(recipe.base, adapter, recipe.plan), load_tokenizer(recipe.base)
        budget = token_budget(model, recipe.plan)

        def scores(chats: ChatDataset) -> LabelledScores:
            found = score_once(
                model, tokenizer, list(chats.frame["prompt"]), chats.labels, recipe.plan, budget
            )
            gold = np.array([chats.labels.index(label) for label in chats.frame["label"]])
            return LabelledScores(found.label_log_probs, gold, np.ones(len(gold)))

        prior = (MINORITY, 1 - MINORITY)
        rule = fit_rule(scores(held.fitted), train.labels, prior, DecisionSettings(objective="macro_f1"))
        measured = scores(held.measured)
    answers = rule.answers(rule.probabilities(measured.log_probs))
    counts = measured.outcome_counts(answers, LABELS)
    return _macro_f1(counts / counts.sum(-1, keepdims=True) * np.array(prior)[:, None])


def _macro_f1(mass: npt.NDArray[np.float64]) -> float:
    """Return the macro-F1 from the shares [gold, answer]."""
    return float(np.mean(2 * mass.diagonal() / (mass.sum(0) + mass.sum(1))))


@click.command()
@click.option("--negatives", default=16)
@click.option("--steps", default=40)
@click.option("--seeds", default=5)
@click.option("--held-out", default=400, help="Maximum reviews of the two halves together.")
@click.option("--json", "as_json", is_flag=True)
def main(negatives: int, steps: int, seeds: int, held_out: int, as_json: bool) -> None:
    """Print a Markdown table; a line per seed as it is known goes to standard error."""
    from review_sentiment.training.preparation import prepare

    found: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(seeds):
        prepared = prepare(settings_of("none", steps, seed))
        held = prepared.validation.head(held_out)
        halves = Held(held.shard(0, 2), held.shard(1, 2))
        for method in METHODS:
            train = training_chats(prepared, method, negatives, seed)
            found[method].append(macro_f1(train, settings_of(method, steps, seed), halves))
            click.echo(f"seed {seed}, {method}, {len(train)} reviews: {found[method][-1]:.3f}", err=True)
    first = found[METHODS[0]]
    print(
        "| training.balance | macro-F1, mean of the seeds | minus undersample, mean (each) |\n|---|---|---|"
    )
    for method, values in found.items():
        gains = [value - other for value, other in zip(values, first, strict=True)]
        each = ", ".join(f"{gain:+.3f}" for gain in gains)
        print(f"| {method} | {statistics.mean(values):.3f} | {statistics.mean(gains):+.3f} ({each}) |")
    if as_json:
        print(json.dumps({"macro_f1": found}))


if __name__ == "__main__":
    main()
