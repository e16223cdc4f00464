#!/usr/bin/env python
"""Compare label scoring with vLLM for CPUs, on the same reviews and cores.

python benchmarks/against_vllm.py --python vllm/bin/python [--train 240] [--reviews 64] [--rounds 5] [--json]

ours   review_sentiment.scoring.label_scoring, from the 4-bit weights and the adapter
vllm   one greedy token from the merged weights, with prefix caching and all cores; the docstring of
       `benchmarks/vllm_process.py` says how to install it

The arms take turns on validation reviews, and the one that waits is stopped. Both tokenise the prompts. vLLM
computes in the precision that ours uses on this machine.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.scoring import Tuned, shown, tune
from benchmarks.training import spread
from benchmarks.vllm_process import Vllm, started


def compare(worker: Vllm, tuned: Tuned, reviews: int, rounds: int) -> dict[str, Any]:
    """Return reviews per second of both arms in each round, and how many answers are equal."""
    from review_sentiment.models.loading import load_tokenizer
    from review_sentiment.scoring.label_scoring import score_labels
    from review_sentiment.scoring.scored_model import load_scored_model

    tokenizer = load_tokenizer(tuned.base)
    model = load_scored_model(tuned.base, tuned.adapter, tuned.plan)

    def ours(prompts: list[str]) -> tuple[float, list[str]]:
        started = time.perf_counter()
        scores = score_labels(model, tokenizer, prompts, tuned.labels, tuned.plan, "auto")
        answers = [tuned.labels[index] if index >= 0 else "" for index in scores.answered]
        return time.perf_counter() - started, answers

    arms = {"ours": ours, "vllm": worker.answer}
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    equal = 0
    for number in range(rounds + 1):
        part = tuned.prompts[number * reviews : (number + 1) * reviews]
        found = {name: arm(part) for name, arm in arms.items()}
        if number == 0:  # the first round compiles kernels and caches the instruction
            continue
        for name, (seconds, _) in found.items():
            speeds[name].append(len(part) / seconds)
        equal += sum(a == b for a, b in zip(found["ours"][1], found["vllm"][1], strict=True))
    return {"reviews_per_second": speeds, "equal": equal, "of": rounds * reviews}


@click.command()
@click.option("--python", type=click.Path(exists=True, path_type=Path), required=True, help="vLLM's Python.")
@click.option("--train", default=240, show_default=True, help="Training reviews of the adapter.")
@click.option("--reviews", default=64, show_default=True, help="Reviews per arm and round.")
@click.option("--rounds", default=5, show_default=True, help="Rounds, each with different reviews.")
@click.option("--json", "as_json", is_flag=True)
def main(python: Path, train: int, reviews: int, rounds: int, as_json: bool) -> None:
    """Print the results."""
    import torch

    from review_sentiment.models.loading import load_adapted_model, load_tokenizer
    from review_sentiment.models.merging import write_merged
    from review_sentiment.registry.serving_files import DTYPES

    with tempfile.TemporaryDirectory() as scratch:
        tuned = tune(train, Path(scratch) / "adapter")
        merged, (dtype, _) = Path(scratch) / "merged", DTYPES[tuned.plan.precision]
        write_merged(load_adapted_model(tuned.base, tuned.adapter, tuned.plan), tuned.plan.dtype, merged)
        load_tokenizer(tuned.base).save_pretrained(merged)
        with started(python, merged, dtype) as worker:
            found = compare(worker, tuned, reviews, rounds)
    speeds = found["reviews_per_second"]
    ratios = [ours / theirs for ours, theirs in zip(speeds["ours"], speeds["vllm"], strict=True)]
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    if as_json:
        facts = {"machine": machine, "precision": tuned.plan.precision}
        click.echo(json.dumps({"ratios": {"ours/vllm": spread(ratios)}, **facts, **found}))
        return
    click.echo(f"{machine}, {tuned.plan.precision}; {rounds} rounds of {reviews} reviews")
    for name, values in speeds.items():
        click.echo(f"  {name:10} {shown(values)} reviews/s")
    click.echo(f"  {'ours/vllm':10} {shown(ratios)}")
    click.echo(f"  {found['equal']} of {found['of']} answers are equal")


if __name__ == "__main__":
    main()
