#!/usr/bin/env python
"""Compare label scoring with generating each answer, one by one and in batches, with the same models.

python benchmarks/scoring.py [--train 240] [--reviews 64] [--rounds 3] [--json]

one by one   as in a notebook: generate(max_new_tokens=10) for each prompt, as transformers and PEFT load it
in batches   the same, padded on the left, with the batch size that is fastest on this machine
ours         review_sentiment.scoring.label_scoring

The arms take turns on the same validation reviews: first with an untuned model, which continues after the
label, then with a tuned model, which stops there. The limit is the time of the matrix products of a prompt
with the weights alone, at the speed that this machine reaches. The benchmark also reports whether greedy
generation in FP32 gives the same answers to the closest decisions, and how far metrics and log-probabilities
move with the batch size in FP32, and with BF16.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import settings, spread

MAX_NEW_TOKENS = 10
BATCH_SIZES = (4, 8, 16, 32)
TOKEN_BUDGETS = (256, 1_024, 4_096)
ROUNDED_REVIEWS = 200
"""Reviews scored in both precisions and with several batch sizes."""
NEAREST_DECISIONS = 48
"""Validation reviews with the smallest margins, which FP32 generation also answers."""
OURS = "ours"


@dataclass(frozen=True)
class Tuned:
    """A tuned model, what it was trained from, and reviews that it has not seen."""

    prepared: Any
    base: Any
    plan: Any
    adapter: Path

    @property
    def prompts(self) -> list[str]:
        """Return the prompts of the validation reviews."""
        return list(self.prepared.validation.frame["prompt"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels."""
        return tuple(self.prepared.validation.labels)


def tune(reviews: int, adapter: Path) -> Tuned:
    """Train an adapter on some reviews."""
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.training.job import TrainingJob
    from review_sentiment.training.preparation import prepare
    from review_sentiment.training.qlora import finetune

    chosen = settings(reviews)
    prepared, recipe = prepare(chosen), Recipe.from_settings(chosen, plan_compute())
    finetune(TrainingJob(recipe, prepared.train, adapter))
    return Tuned(prepared, recipe.base, recipe.plan, adapter)


def plain_model(plan: Any) -> Any:
    """Return the embedded model in 4 bits as transformers loads it, which generates faster than ours."""
    from transformers import AutoModelForCausalLM

    from review_sentiment.models import loading
    from review_sentiment.models.embedded_model import model_directory

    four_bits = loading._nf4(plan)
    return AutoModelForCausalLM.from_pretrained(
        model_directory(), dtype=plan.dtype, device_map={"": plan.device}, quantization_config=four_bits
    ).eval()


def generate(model: Any, tokenizer: Any, batch_size: int, prompts: list[str]) -> list[str]:
    """Return the answers of greedy generation, in batches padded on the left."""
    import torch

    answers: list[str] = []
    tokenizer.padding_side = "left"
    with torch.inference_mode():
        for start in range(0, len(prompts), batch_size):
            inputs = tokenizer(
                prompts[start : start + batch_size],
                add_special_tokens=False,
                padding=True,
                return_tensors="pt",
            )
            output = model.generate(
                **inputs,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
            new_tokens = output[:, inputs["input_ids"].shape[1] :]
            answers += tokenizer.batch_decode(new_tokens, skip_special_tokens=True)
    return [answer.strip() for answer in answers]


def score(model: Any, tokenizer: Any, tuned: Tuned, prompts: list[str]) -> list[str]:
    """Return the answers of label scoring."""
    from review_sentiment.scoring.label_scoring import score_labels

    scores = score_labels(model, tokenizer, prompts, tuned.labels, tuned.plan, max(TOKEN_BUDGETS))
    return [tuned.labels[index] if index >= 0 else "" for index in scores.answered]


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def batch_size_effect(model: Any, tokenizer: Any, tuned: Tuned, reviews: int) -> dict[str, float]:
    """Return the largest differences of log-probabilities and metrics between token budgets, in FP32."""
    from review_sentiment.evaluation.metrics import compute_metrics
    from review_sentiment.evaluation.predictions import prediction_table
    from review_sentiment.scoring.full_precision import computed_in_fp32
    from review_sentiment.scoring.label_scoring import score_labels

    plan, frame = replace(tuned.plan, precision="fp32"), tuned.prepared.validation.frame.head(reviews)
    with computed_in_fp32(model):
        found = [
            score_labels(model, tokenizer, tuned.prompts[:reviews], tuned.labels, plan, budget)
            for budget in TOKEN_BUDGETS
        ]
    tables = [
        prediction_table(frame, tuned.labels, scores.probabilities, scores.answered, scores.label_mass)
        for scores in found
    ]
    metrics = [compute_metrics(table, tuned.labels).headline() for table in tables]
    return {
        "log_probability": max(
            float(abs(found[0].label_log_probs - other.label_log_probs).max()) for other in found[1:]
        ),
        "metric": max(abs(metrics[0][name] - other[name]) for other in metrics[1:] for name in other),
    }


def rounding_effect(model: Any, tokenizer: Any, tuned: Tuned, prompts: list[str]) -> list[float]:
    """Return how far each review's log-odds move from the plan's precision to FP32 with equal weights."""
    from review_sentiment.scoring.full_precision import computed_in_fp32
    from review_sentiment.scoring.label_scoring import score_once

    budget, exact_plan = max(TOKEN_BUDGETS), replace(tuned.plan, precision="fp32")
    rounded = score_once(model, tokenizer, prompts, tuned.labels, tuned.plan, budget)
    with computed_in_fp32(model):
        exact = score_once(model, tokenizer, prompts, tuned.labels, exact_plan, budget)
    odds = [found.label_log_probs[:, 1] - found.label_log_probs[:, 0] for found in (rounded, exact)]
    return [float(moved) for moved in abs(odds[0] - odds[1])]


def exact_agreement(own: Any, plain: Any, tokenizer: Any, tuned: Tuned) -> dict[str, Any]:
    """Return how many of the closest decisions agree with FP32 generation: ours, and those in BF16.

    FP32 generation uses the layers of transformers and PEFT with the same 4-bit weights.
    """
    from peft import PeftModel

    from review_sentiment.models.loading import load_model
    from review_sentiment.scoring.full_precision import computed_in_fp32
    from review_sentiment.scoring.label_scoring import score_labels

    scores = score_labels(own, tokenizer, tuned.prompts, tuned.labels, tuned.plan, "auto")
    nearest = [int(row) for row in scores.margin.argsort()[:NEAREST_DECISIONS]]
    prompts = [tuned.prompts[row] for row in nearest]
    reference = PeftModel.from_pretrained(load_model(tuned.base, tuned.plan), str(tuned.adapter)).eval()
    with computed_in_fp32(reference):
        exact = generate(reference, tokenizer, 1, prompts)
    ours = [tuned.labels[scores.answered[row]] if scores.answered[row] >= 0 else "" for row in nearest]
    rounded = generate(plain, tokenizer, 1, prompts)
    return {
        "of": len(tuned.prompts),
        "nearest": len(nearest),
        "margin": float(scores.margin[nearest[-1]]),
        "ours": sum(answer == true for answer, true in zip(ours, exact, strict=True)),
        "generated": sum(answer == true for answer, true in zip(rounded, exact, strict=True)),
    }


def compare(plain: Any, own: Any, tokenizer: Any, tuned: Tuned, reviews: int, rounds: int) -> dict[str, Any]:
    """Return reviews per second for each arm and round, and how often greedy answers equal ours."""
    warm_up, prompts = tuned.prompts[:reviews], tuned.prompts[reviews:]
    score(own, tokenizer, tuned, warm_up)
    by_size = {size: partial(generate, plain, tokenizer, size) for size in (1, *BATCH_SIZES)}
    took = {size: seconds(partial(by_size[size], warm_up)) for size in BATCH_SIZES}
    best = min(BATCH_SIZES, key=lambda size: took[size])
    arms: dict[str, Callable[[list[str]], list[str]]] = {
        "one by one": by_size[1],
        "in batches": by_size[best],
        OURS: partial(score, own, tokenizer, tuned),
    }
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    limits: list[float] = []
    inside = agreed = 0
    for number in range(rounds):
        part = prompts[number * reviews : (number + 1) * reviews]
        answers = {}
        limits.append(limit_of(own, tokenizer, tuned.plan, part))
        for name, arm in arms.items():
            started = time.perf_counter()
            answers[name] = arm(part)
            speeds[name].append(len(part) / (time.perf_counter() - started))
        for greedy, ours in zip(answers["one by one"], answers[OURS], strict=True):
            inside += greedy in tuned.labels
            agreed += greedy in tuned.labels and greedy == ours
    return {
        "reviews_per_second": speeds,
        "limit": limits,
        "best_batch_size": best,
        "greedy_answers": rounds * reviews,
        "greedy_answers_inside": inside,
        "greedy_answers_equal": agreed,
    }


def limit_of(model: Any, tokenizer: Any, plan: Any, prompts: list[str]) -> float:
    """Return the reviews per second if only products with the weights took time, without the prefix."""
    from review_sentiment.models.packing import shared_prefix
    from review_sentiment.resources.memory import shape_from
    from review_sentiment.resources.throughput import matrix_speed

    rows = [tokenizer.encode(prompt, add_special_tokens=False) for prompt in prompts]
    shared = shared_prefix(rows, min(map(len, rows)) - 1)
    shape = shape_from(model.config)
    tokens = statistics.mean(len(row) - shared for row in rows)
    return matrix_speed(shape, plan.dtype, plan.device) / (2 * shape.linear_parameters * tokens)


def shown(values: list[float]) -> str:
    """Return median, minimum and maximum."""
    found = spread(values)
    return f"{found['median']:7.2f} ({found['min']:.2f}-{found['max']:.2f})"


@click.command()
@click.option("--train", default=240, show_default=True, help="Training reviews of the adapter.")
@click.option("--reviews", default=64, show_default=True, help="Reviews per arm and round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds, each with different reviews.")
@click.option("--json", "as_json", is_flag=True)
def main(train: int, reviews: int, rounds: int, as_json: bool) -> None:
    """Print the results."""
    import torch
    from peft import PeftModel

    from review_sentiment.models.loading import load_tokenizer
    from review_sentiment.scoring.scored_model import load_scored_model

    with tempfile.TemporaryDirectory() as scratch:
        tuned = tune(train, Path(scratch) / "adapter")
        tokenizer = load_tokenizer(tuned.base)
        plain, own = plain_model(tuned.plan), load_scored_model(tuned.base, None, tuned.plan)
        untuned = compare(plain, own, tokenizer, tuned, reviews, rounds)
        plain = PeftModel.from_pretrained(plain, str(tuned.adapter)).eval()
        own = load_scored_model(tuned.base, tuned.adapter, tuned.plan)
        found = {"tuned": compare(plain, own, tokenizer, tuned, reviews, rounds), "untuned": untuned}
        exact = exact_agreement(own, plain, tokenizer, tuned)
    effect = batch_size_effect(own, tokenizer, tuned, ROUNDED_REVIEWS)
    rounding = rounding_effect(own, tokenizer, tuned, tuned.prompts[:ROUNDED_REVIEWS])
    ratios = {name: ratios_of(result) for name, result in found.items()}
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    if as_json:
        facts = {
            "machine": machine,
            "exact_agreement": exact,
            "batch_size_effect_fp32": effect,
            "rounding": rounding,
        }
        click.echo(json.dumps({"ratios": ratios, **facts, **found}))
        return
    click.echo(f"{machine}; {rounds} rounds of {reviews} reviews")
    for name, result in found.items():
        click.echo(f"{name} model; batches of {result['best_batch_size']}")
        for arm, values in result["reviews_per_second"].items():
            click.echo(f"  {arm:24} {shown(values)} reviews/s")
        click.echo(f"  {'limit of the products':24} {shown(result['limit'])} reviews/s")
        for arm, ratio in ratios[name].items():
            click.echo(f"  {arm:24} {shown(ratio)}")
        click.echo(
            f"  {result['greedy_answers_inside']} of {result['greedy_answers']} greedy answers were a label, "
            f"{result['greedy_answers_equal']} of them ours"
        )
    click.echo(
        f"of {exact['nearest']} closest of {exact['of']} decisions (margins up to {exact['margin']:.2f}), "
        f"{exact['ours']} of ours agree with greedy generation in FP32, and "
        f"{exact['generated']} of generation in {tuned.plan.precision}"
    )
    click.echo(
        f"the batch size changes metrics by {effect['metric']:.1e} at most, "
        f"log-probabilities by {effect['log_probability']:.1e} (FP32, {ROUNDED_REVIEWS} reviews)"
    )
    click.echo(
        f"log-odds of {len(rounding)} reviews move by {statistics.median(rounding):.3f} in the median and "
        f"{max(rounding):.3f} at most between {tuned.plan.precision} and FP32"
    )


def ratios_of(result: dict[str, Any]) -> dict[str, list[float]]:
    """Return by which factor ours and the limit are faster than the other arms, round by round."""
    speeds = result["reviews_per_second"]
    theirs = [name for name in speeds if name != OURS]
    return {
        f"{over}/{name}": [a / b for a, b in zip(fast, speeds[name], strict=True)]
        for over, fast in ((OURS, speeds[OURS]), ("limit", result["limit"]))
        for name in theirs
    }


if __name__ == "__main__":
    main()
