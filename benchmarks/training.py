#!/usr/bin/env python
"""Training: ours against a notebook's recipe and against TRL tuned as its documentation advises.

python benchmarks/training.py [--reviews 320] [--rounds 8] [--seeds 42,43] [--arms notebook,ours] [--json]

The same model, 4-bit weights, adapters, seed, batch of the optimizer and reviews:

notebook   random batches of 4 padded to the longest, gradients of 4 of them accumulated, loss over
           the answer, gradient checkpointing, LoRA dropout 0.05, all logits: TRL's defaults
tuned TRL  batches of 16 grouped by length, no checkpointing, no dropout, loss over the answer
ours       review_sentiment.training.qlora

First, useful tokens a second: steps in turn, in one process; the notebook's and ours on the same reviews,
those of tuned TRL grouped by length. Then each trains a model in a process of its own, from the start to the
end of the reviews, once a seed; it is validated on the way, and at the end on all validation reviews.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

BATCH = 16
MICRO_BATCH = 4
NOTEBOOK_DROPOUT = 0.05
VALIDATION_REVIEWS = 150
"""Of a validation on the way."""
VALIDATIONS = 4
ARMS = ("notebook", "tuned TRL", "ours")


@dataclass
class Arm:
    """A recipe that is ready to train: its trainer, and how many useful tokens it has seen."""

    trainer: Any
    model: Any
    steps: Iterator[Any]
    tokens: int = 0


def settings(reviews: int) -> Any:
    """Return the default configuration with fewer reviews."""
    from review_sentiment.settings_files import load_settings

    categories = 6
    return load_settings(
        ROOT / "configs" / "local.yaml", [f"split.train_per_category={-(-reviews // categories)}"]
    )


def make_arm(name: str, reviews: int, seed: int, scratch: Path) -> tuple[Arm, Any]:
    """Load the model and build the recipe's trainer; return it with the prepared data."""
    import torch
    from transformers import set_seed
    from trl import SFTConfig, SFTTrainer

    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.fused_lora import fuse_adapters
    from review_sentiment.models.lean_layers import lighten
    from review_sentiment.models.loading import load_model, load_tokenizer
    from review_sentiment.models.lora import add_adapters, train_adapters_in_fp32
    from review_sentiment.models.packed_attention import use_packed_attention
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.training.arguments import trainer_arguments
    from review_sentiment.training.preparation import prepare
    from review_sentiment.training.rows import tokenise
    from review_sentiment.training.trainer import AnswerTrainer

    chosen = settings(reviews)
    prepared = prepare(chosen)
    recipe = dataclasses.replace(Recipe.from_settings(chosen, plan_compute()), seed=seed)
    base, plan = recipe.base, recipe.plan
    tokenizer = load_tokenizer(base)
    set_seed(seed)
    model = load_model(base, plan)
    rows = tokenise(prepared.train, tokenizer)
    if name == "ours":
        use_packed_attention(model, recipe.plan)
        model = add_adapters(model, chosen.lora)
        fuse_adapters(model, plan.dtype)
        lighten(model)
        trainer = AnswerTrainer(
            model=model,
            args=trainer_arguments(recipe, scratch),
            token_budget=chosen.training.tokens_per_pass,
            packs_rows=True,
            balance="undersample",
            train_dataset=rows,
            processing_class=tokenizer,
        )
        train_adapters_in_fp32(model)
    else:
        notebook = name == "notebook"
        model.set_attn_implementation("sdpa")
        dropout = NOTEBOOK_DROPOUT if notebook else 0.0
        model = add_adapters(model, chosen.lora.model_copy(update={"dropout": dropout}))
        micro = MICRO_BATCH if notebook else BATCH
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(scratch),
                per_device_train_batch_size=micro,
                gradient_accumulation_steps=BATCH // micro,
                gradient_checkpointing=notebook,
                train_sampling_strategy="random" if notebook else "group_by_length",
                learning_rate=chosen.training.learning_rate,
                warmup_steps=chosen.training.warmup_share,
                num_train_epochs=1,
                max_length=None,
                dataset_kwargs={"skip_prepare_dataset": True},
                use_cpu=plan.device == "cpu",
                bf16=plan.precision == "bf16",
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                seed=seed,
                data_seed=seed,
            ),
            train_dataset=rows.remove_columns("row"),
            processing_class=tokenizer,
        )
    model.train()
    torch.set_grad_enabled(True)
    return Arm(trainer, model, iter(())), (prepared, base, plan, tokenizer)


def step_of(arm: Arm) -> Callable[[list[int]], tuple[int, float]]:
    """Return a function that makes one optimizer step on rows and returns its useful tokens and seconds."""
    import torch

    trainer = arm.trainer
    if trainer.args.gradient_checkpointing:  # `train` does so when it begins
        arm.model.activation_checkpointing_enable()
    trainer.create_optimizer()
    micro = trainer.args.per_device_train_batch_size

    def step(rows: list[int]) -> tuple[int, float]:
        reviews = [trainer.train_dataset[row] for row in rows]
        inputs = [
            dict(trainer.data_collator(reviews[start : start + micro]))
            for start in range(0, len(rows), micro)
        ]
        answers = sum((part["labels"] != -100).sum() for part in inputs)
        tokens = sum(len(review["input_ids"]) for review in reviews)
        started = time.perf_counter()
        for part in inputs:
            trainer.training_step(arm.model, part, answers)
        torch.nn.utils.clip_grad_norm_(arm.model.parameters(), trainer.args.max_grad_norm)
        trainer.optimizer.step()
        arm.model.zero_grad(set_to_none=True)
        return tokens, time.perf_counter() - started

    return step


def speeds(reviews: int, rounds: int, seed: int) -> dict[str, list[float]]:
    """Return the useful tokens a second of each arm's steps, made in turn."""
    from review_sentiment.training.sampler import ByLength, RandomBatches

    found: dict[str, list[float]] = {name: [] for name in ARMS}
    with tempfile.TemporaryDirectory() as scratch:
        arms = {name: make_arm(name, reviews, seed, Path(scratch))[0] for name in ARMS}
        steps = {name: step_of(arm) for name, arm in arms.items()}
        lengths = list(map(len, arms["ours"].trainer.train_dataset["input_ids"]))
        orders = {
            name: list((ByLength if name == "tuned TRL" else RandomBatches)(BATCH, lengths, seed, lambda: 0))
            for name in ARMS
        }
        for number in range(rounds + 1):
            for name, step in steps.items():
                tokens, seconds = step(orders[name][number * BATCH : (number + 1) * BATCH])
                if number:  # the first round warms up
                    found[name].append(tokens / seconds)
    return found


def train_whole(name: str, reviews: int, seed: int) -> dict[str, Any]:
    """Train on all reviews; return seconds of training, validations on the way, and the peak memory."""
    import numpy as np
    from sklearn.metrics import f1_score
    from transformers import TrainerCallback

    from review_sentiment.scoring.label_scoring import score_labels

    with tempfile.TemporaryDirectory() as scratch:
        arm, (prepared, _, plan, tokenizer) = make_arm(name, reviews, seed, Path(scratch))
        labels = prepared.validation.labels
        clock = {"trained": 0.0, "since": 0.0}
        points: list[dict[str, float]] = []

        class Validate(TrainerCallback):  # type: ignore[misc]
            """Stops the clock, validates, and starts the clock again."""

            def on_train_begin(self, *_: Any, **__: Any) -> None:
                clock["since"] = time.perf_counter()

            def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
                every, last = max(1, state.max_steps // VALIDATIONS), state.global_step == state.max_steps
                if not last and (
                    state.global_step % every or state.max_steps - state.global_step < every // 2
                ):
                    return
                clock["trained"] += time.perf_counter() - clock["since"]
                frame = prepared.validation.frame
                frame = frame if last else frame.head(VALIDATION_REVIEWS)
                gold = np.array([labels.index(label) for label in frame["label"]])
                scores = score_labels(arm.model, tokenizer, list(frame["prompt"]), labels, plan, 2_048)
                arm.model.train()
                classes = list(range(len(labels)))
                points.append(
                    {
                        "step": state.global_step,
                        "seconds": clock["trained"],
                        "loss": float(-scores.label_log_probs[np.arange(len(gold)), gold].mean()),
                        "macro_f1": float(f1_score(gold, scores.answered, labels=classes, average="macro")),
                    }
                )
                clock["since"] = time.perf_counter()

        arm.trainer.add_callback(Validate())
        arm.trainer.train()
    return {
        "points": points,
        "reviews": len(prepared.train),
        "validation_reviews": len(prepared.validation),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def seconds_to(loss: float, points: list[dict[str, float]]) -> float | None:
    """Return after how many seconds of training a validation had at most that loss."""
    return next((point["seconds"] for point in points if point["loss"] <= loss), None)


def in_a_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a fresh process: memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


@click.command()
@click.option("--reviews", default=320, show_default=True, help="Training reviews of each arm.")
@click.option("--rounds", default=8, show_default=True, help="Steps of each arm that are timed in turn.")
@click.option("--seeds", default="42", show_default=True, help="Each arm trains once for each of them.")
@click.option("--arms", default=",".join(ARMS), show_default=True, help="What is trained whole.")
@click.option("--json", "as_json", is_flag=True)
def main(reviews: int, rounds: int, seeds: str, arms: str, as_json: bool) -> None:
    """Print the table."""
    import torch

    chosen = [int(seed) for seed in seeds.split(",")]
    names = [name for name in ARMS if name in arms.split(",")]
    if set(arms.split(",")) - set(names) or "ours" not in names:
        raise click.BadParameter(
            f"choose from {', '.join(ARMS)}, with 'ours' among them", param_hint="--arms"
        )
    found = in_a_process(speeds, max(reviews, (rounds + 1) * BATCH), rounds, chosen[0]) if rounds else {}
    trained: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in chosen:
        for name in names:
            trained[name].append(in_a_process(train_whole, name, reviews, seed))
            # Whole trainings take long: what was finished can be read where the rest is not.
            click.echo(f"seed {seed}, {name}: {json.dumps(trained[name][-1]['points'][-1])}", err=True)
    threads = torch.get_num_threads()
    machine = f"{platform.machine()}, {threads} threads, torch {torch.__version__}"
    ratios = ratios_of(found, trained)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "machine": machine,
                    "ratios": {name: spread(ratio) for name, ratio in ratios.items() if ratio},
                    "tokens_per_second": found,
                    "trainings": trained,
                }
            )
        )
        return
    first = trained["ours"][0]
    click.echo(
        f"{machine}; {first['reviews']} reviews, steps of {BATCH}; {first['validation_reviews']} validation "
        f"reviews; seeds {seeds}"
    )
    for name, tokens_per_second in found.items():
        click.echo(f"{name:10} {shown(tokens_per_second, '.0f')} useful tokens/s")
    for name in names:
        last = [training["points"][-1] for training in trained[name]]
        click.echo(
            f"{name:10} trained in {shown([end['seconds'] for end in last], '.0f')} s  "
            f"validation loss {shown([end['loss'] for end in last], '.3f')}  "
            f"macro-F1 {shown([end['macro_f1'] for end in last], '.3f')}  "
            f"peak {shown([training['peak_gb'] for training in trained[name]], '.2f')} GB"
        )
    for name, ratio in ratios.items():
        click.echo(f"{name:32} {shown(ratio, '.2f') if ratio else 'not reached'}")


def ratios_of(
    found: dict[str, list[float]], trained: dict[str, list[dict[str, Any]]]
) -> dict[str, list[float]]:
    """Return how many times as fast ours is, step by step, and to the same validation loss, seed by seed."""
    ratios: dict[str, list[float]] = {}
    for name, theirs in found.items():
        if name != "ours":
            ratios[f"ours/{name}"] = [a / b for a, b in zip(found["ours"], theirs, strict=True)]
    for name in [name for name in trained if name != "ours"]:
        pairs = zip(trained[name], trained["ours"], strict=True)
        times = [
            (other["points"][-1]["seconds"], seconds_to(other["points"][-1]["loss"], ours["points"]))
            for other, ours in pairs
        ]
        ratios[f"time to the loss of {name}"] = [seconds / ours for seconds, ours in times if ours]
    return ratios


def shown(values: list[float], form: str) -> str:
    """Return the median and the ends."""
    found = spread(values)
    return f"{found['median']:{form}} ({found['min']:{form}}-{found['max']:{form}})"


def spread(values: list[float]) -> dict[str, float]:
    """Return median and ends."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


if __name__ == "__main__":
    main()
