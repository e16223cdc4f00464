#!/usr/bin/env python
"""Predicted and measured peak memory of training on this machine, each variant in a process of its own.

python benchmarks/memory.py [--steps 3] [--json]
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.training import ROOT, in_a_process, spread

REVIEWS = 200
VARIANTS = (
    (),
    ("training.tokens_per_pass=512",),
    ("training.tokens_per_pass=3072", "training.batch_size=32"),
    ("training.tokens_per_pass=1024", "lora.rank=64"),
    ("training.gradient_checkpointing=true", "training.tokens_per_pass=3072", "training.batch_size=32"),
)


def longest_chats() -> Any:
    """Return the longest training chats, in a random order."""
    from dataclasses import replace

    from review_sentiment.settings_files import load_settings
    from review_sentiment.training.preparation import prepare

    chats = prepare(load_settings(ROOT / "configs" / "local.yaml")).train
    longest = chats.frame.nlargest(REVIEWS, "total_tokens").sample(frac=1, random_state=0)
    return replace(chats, frame=longest.reset_index(drop=True))


def measure(overrides: tuple[str, ...], steps: int, chats: Any) -> dict[str, float]:
    """Train a few steps; return the predicted memory and the peak of this process, which read no data."""
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.models.recipe import Recipe
    from review_sentiment.settings_files import load_settings
    from review_sentiment.training.job import TrainingJob
    from review_sentiment.training.qlora import finetune

    fixed = (f"training.max_steps={steps}", "training.fit=ignore", "training.validations=0")
    settings = load_settings(ROOT / "configs" / "local.yaml", [*overrides, *fixed])
    recipe = Recipe.from_settings(settings, plan_compute("cpu", settings.model.precision))
    train = chats.head(steps * settings.training.batch_size)
    with tempfile.TemporaryDirectory() as scratch:
        summary = finetune(TrainingJob(recipe, train, Path(scratch) / "adapter")).summary
    return {"expected_gb": summary.expected_memory_gb, "peak_gb": summary.peak_memory_gb}


@click.command()
@click.option("--steps", default=3, show_default=True, help="Optimizer steps of each training.")
@click.option("--json", "as_json", is_flag=True)
def main(steps: int, as_json: bool) -> None:
    """Print the predicted and measured peak of each variant."""
    chats = in_a_process(longest_chats)
    rows: list[dict[str, Any]] = []
    for overrides in VARIANTS:
        rows.append(
            {"settings": " ".join(overrides) or "as configured"}
            | in_a_process(measure, overrides, steps, chats)
        )
        if not as_json:
            click.echo(_line(rows[-1]))
    errors = [row["expected_gb"] / row["peak_gb"] for row in rows]
    result = {
        "machine": f"{platform.machine()}",
        "rows": rows,
        "ratios": {"expected/measured": spread(errors)},
    }
    if as_json:
        click.echo(json.dumps(result))


def _line(row: dict[str, Any]) -> str:
    error = row["expected_gb"] / row["peak_gb"] - 1
    return (
        f"{row['expected_gb']:6.2f} GB expected  {row['peak_gb']:6.2f} GB measured  {error:+6.1%}  "
        f"{row['settings']}"
    )


if __name__ == "__main__":
    main()
