#!/usr/bin/env python
"""Scoring: ours against generating each answer, one by one and in batches, with the same tuned model.

python benchmarks/scoring.py [--train 240] [--reviews 64] [--rounds 3] [--json]

one by one   a notebook's way: generate(max_new_tokens=10) for each prompt, PEFT's layers
in batches   the same, padded on the left, at the batch size that is fastest here
ours         review_sentiment.scoring

The arms take turns on the same reviews, of the validation part. Then: how often greedy generation answers
as ours does, how far log-probabilities move with the size of a batch in FP32, and with BF16.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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
"""Reviews that are scored in both precisions."""
OURS = "ours"


@dataclass(frozen=True)
class Tuned:
    """A tuned model: what it was made of, and reviews that it has not seen."""

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
        """Return the labels that it answers."""
        return tuple(self.prepared.validation.labels)


def tune(reviews: int, adapter: Path) -> Tuned:
    """Train an adapter on some reviews."""
    from review_sentiment.models import identify, plan_compute
    from review_sentiment.preparation import prepare
    from review_sentiment.training import finetune

    chosen = settings(reviews)
    prepared, base, plan = prepare(chosen), identify(chosen.model), plan_compute()
    finetune(base, plan, prepared.train, chosen.lora, chosen.training, chosen.seed, adapter)
    return Tuned(prepared, base, plan, adapter)


def plain_model(tuned: Tuned) -> Any:
    """Return the 4-bit model with the adapter as PEFT makes it: none of our layers."""
    from peft import PeftModel

    from review_sentiment.models import load_model

    model = load_model(tuned.base, tuned.plan)
    model.set_attn_implementation("sdpa")
    return PeftModel.from_pretrained(model, str(tuned.adapter)).eval()


def generate(model: Any, tokenizer: Any, plan: Any, batch_size: int, prompts: list[str]) -> list[str]:
    """Return what greedy generation answers, in batches that are padded on the left."""
    import torch

    answers: list[str] = []
    tokenizer.padding_side = "left"
    with torch.inference_mode(), plan.autocast():
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
    """Return what our scoring says the model answers."""
    from review_sentiment.scoring import score_labels

    scores = score_labels(model, tokenizer, prompts, tuned.labels, tuned.plan, max(TOKEN_BUDGETS))
    return [tuned.labels[index] if index >= 0 else "" for index in scores.answered]


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def batch_size_effect(tuned: Tuned, prompts: list[str]) -> float:
    """Return the largest difference of log-probabilities between token budgets, in FP32."""
    from review_sentiment.models import load_adapted_model, load_tokenizer, plan_compute
    from review_sentiment.scoring import score_labels

    plan = plan_compute("cpu", "fp32")
    model, tokenizer = load_adapted_model(tuned.base, tuned.adapter, plan), load_tokenizer(tuned.base)
    first, *others = [
        score_labels(model, tokenizer, prompts, tuned.labels, plan, budget).label_log_probs
        for budget in TOKEN_BUDGETS
    ]
    return max(float(abs(first - other).max()) for other in others)


def rounding_effect(tuned: Tuned, prompts: list[str]) -> list[float]:
    """Return how far each review's log-odds move between the plan's precision and FP32, by equal weights."""
    from dataclasses import replace

    from review_sentiment import scoring
    from review_sentiment.full_precision import computed_in_fp32
    from review_sentiment.models import load_adapted_model, load_tokenizer

    model, tokenizer = (
        load_adapted_model(tuned.base, tuned.adapter, tuned.plan),
        load_tokenizer(tuned.base),
    )
    near_tie, scoring.NEAR_TIE = scoring.NEAR_TIE, 0.0  # as they are without being settled
    try:
        rounded = scoring.score_labels(model, tokenizer, prompts, tuned.labels, tuned.plan, "auto")
        exact_plan = replace(tuned.plan, precision="fp32")
        with computed_in_fp32(model):
            exact = scoring.score_labels(model, tokenizer, prompts, tuned.labels, exact_plan, "auto")
    finally:
        scoring.NEAR_TIE = near_tie
    odds = [found.label_log_probs[:, 1] - found.label_log_probs[:, 0] for found in (rounded, exact)]
    return [float(moved) for moved in abs(odds[0] - odds[1])]


def compare(tuned: Tuned, reviews: int, rounds: int) -> dict[str, Any]:
    """Return reviews a second of each arm and round, and how often greedy answers are ours."""
    from review_sentiment.models import load_adapted_model, load_tokenizer

    tokenizer = load_tokenizer(tuned.base)
    plain = plain_model(tuned)
    own = load_adapted_model(tuned.base, tuned.adapter, tuned.plan)
    warm_up, prompts = tuned.prompts[:reviews], tuned.prompts[reviews:]
    score(own, tokenizer, tuned, warm_up)
    by_size = {size: partial(generate, plain, tokenizer, tuned.plan, size) for size in (1, *BATCH_SIZES)}
    took = {size: seconds(partial(by_size[size], warm_up)) for size in BATCH_SIZES}
    best = min(BATCH_SIZES, key=lambda size: took[size])
    arms: dict[str, Callable[[list[str]], list[str]]] = {
        "one by one": by_size[1],
        "in batches": by_size[best],
        OURS: partial(score, own, tokenizer, tuned),
    }
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    inside = agreed = 0
    for number in range(rounds):
        part = prompts[number * reviews : (number + 1) * reviews]
        answers = {}
        for name, arm in arms.items():
            started = time.perf_counter()
            answers[name] = arm(part)
            speeds[name].append(len(part) / (time.perf_counter() - started))
        for greedy, ours in zip(answers["one by one"], answers[OURS], strict=True):
            inside += greedy in tuned.labels
            agreed += greedy in tuned.labels and greedy == ours
    return {
        "reviews_per_second": speeds,
        "best_batch_size": best,
        "greedy_answers": rounds * reviews,
        "greedy_answers_inside": inside,
        "greedy_answers_equal": agreed,
    }


def shown(values: list[float]) -> str:
    """Return the median and the ends."""
    found = spread(values)
    return f"{found['median']:7.2f} ({found['min']:.2f}-{found['max']:.2f})"


@click.command()
@click.option("--train", default=240, show_default=True, help="Reviews that the adapter is trained on.")
@click.option("--reviews", default=64, show_default=True, help="Reviews that each arm answers in a round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds, each on other reviews.")
@click.option("--json", "as_json", is_flag=True)
def main(train: int, reviews: int, rounds: int, as_json: bool) -> None:
    """Print the table."""
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        tuned = tune(train, Path(scratch) / "adapter")
        found = compare(tuned, reviews, rounds)
        effect = batch_size_effect(tuned, tuned.prompts[:reviews])
        rounding = rounding_effect(tuned, tuned.prompts[:ROUNDED_REVIEWS])
    speeds = found["reviews_per_second"]
    ratios = {
        f"ours/{name}": [a / b for a, b in zip(speeds[OURS], speeds[name], strict=True)]
        for name in speeds
        if name != OURS
    }
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    if as_json:
        facts = {"machine": machine, "log_probability_difference_fp32": effect, "rounding": rounding, **found}
        click.echo(json.dumps({"ratios": {name: spread(ratio) for name, ratio in ratios.items()}, **facts}))
        return
    click.echo(f"{machine}; {rounds} rounds of {reviews} reviews; batches of {found['best_batch_size']}")
    for name, values in speeds.items():
        click.echo(f"{name:16} {shown(values)} reviews/s")
    for name, ratio in ratios.items():
        click.echo(f"{name:16} {shown(ratio)}")
    click.echo(
        f"greedy generation answered a label {found['greedy_answers_inside']} times of "
        f"{found['greedy_answers']}, {found['greedy_answers_equal']} times the one of ours"
    )
    click.echo(f"log-probabilities move by {effect:.1e} with the batch size (FP32)")
    click.echo(
        f"log-odds of {len(rounding)} reviews move by {statistics.median(rounding):.3f} in the median and "
        f"{max(rounding):.3f} at most between {tuned.plan.precision} and FP32"
    )


if __name__ == "__main__":
    main()
