#!/usr/bin/env python
"""Try settings on the validation reviews; the evaluation reviews are never used.

python benchmarks/validation.py --set training.learning_rate=5e-4 --set split.train_per_category=500
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
from review_sentiment.models.recipe import Recipe
from review_sentiment.settings_files import load_settings
from review_sentiment.training.job import TrainingJob
from review_sentiment.training.preparation import prepare
from review_sentiment.training.qlora import finetune


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=Path("configs/local.yaml"))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE")
@click.option("--json", "as_json", is_flag=True)
def main(config: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train with the settings and print the metrics on the validation reviews."""
    settings = load_settings(config, overrides)
    prepared = prepare(settings)
    recipe = Recipe.from_settings(settings)
    with tempfile.TemporaryDirectory() as scratch:
        trained = finetune(TrainingJob(recipe, prepared.train, Path(scratch) / "adapter"))
        evaluation = evaluate_model(
            recipe.base,
            trained.adapter,
            HeldOut(prepared.validation),
            recipe.plan,
            settings.evaluation,
        )
    figures = {
        "machine": f"{platform.machine()}, {recipe.plan.device}, {recipe.plan.precision}",
        "settings": list(overrides),
        "training": asdict(trained.summary),
        "validation": evaluation.metrics.headline(),
    }
    if as_json:
        click.echo(json.dumps(figures))
        return
    summary, metrics = trained.summary, evaluation.metrics
    click.echo(f"{figures['machine']}; {' '.join(overrides) or 'as configured'}")
    click.echo(
        f"trained on {summary.reviews} reviews in {summary.seconds:.0f} s "
        f"({summary.tokens_per_second:.0f} tokens/s, peak {summary.peak_memory_gb:.1f} GB)"
    )
    click.echo(f"validation: accuracy {metrics.accuracy:.4f}, ROC AUC {metrics.roc_auc:.4f}, n {metrics.n}")


if __name__ == "__main__":
    main()
