#!/usr/bin/env python
"""Compare all that can answer a registered version's reviews: on the same reviews, in one run.

python benchmarks/rivals.py [--version champion] [--config configs/local.yaml] [--arms tfidf,static,...]
                            [--vllm vllm/bin/python] [--reviews 200] [--rounds 3] [--json]

language model   the version, as `score` answers with it
student          each of its students; with the version too, as `score --cascade` and `score --ensemble` do
arm              trained here on the configuration, which must be that of the version's run; `--arms ''`: none
transformers     `pipeline("text-generation")` on the merged weights; the answer is the label at its start
vLLM             the same weights and answer, with prefix caching; from an environment of its own

The reviews are a random sample of the version's evaluation reviews at its natural class shares. All answer by
their decision rules, which for an arm is fitted on the validation reviews; but an engine that generates text
answers as for equal shares. In each round, all answer all reviews, and some of them one at a time. The table
has medians over the rounds, and the range of each one's speed relative to the language model in the same
round. Everything uses all cores: `taskset -c 0` limits it to one.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.rival_models import (
    Absent,
    LanguageModel,
    Rival,
    generating,
    language_model,
    students_and_both,
    trained_arm,
)
from benchmarks.rival_rounds import Measured, Sample, drawn, measured, on_front
from benchmarks.training import spread
from front_door.commands.options import CONFIG, JSON, NAME, OVERRIDES
from front_door.commands.registry_access import mlflow_ready
from front_door.commands.score import MAX_LOSS
from front_door.stack.configs import default_config
from front_door.state import prepare_environment
from front_door.terminal.console import quiet
from review_sentiment.config import Settings, TrainedArm
from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.settings_files import load_settings

COLUMNS = (
    "answers",
    "accuracy",
    "AUC",
    "reviews/s",
    "relative to the language model",
    "CPU s per review",
    "p50 ms",
    "p95 ms",
    "MB",
    "training s",
    "Pareto front",
)


@dataclass(frozen=True)
class Options:
    """What is compared, and how often, under the names that click passes."""

    version: str
    name: str | None
    arms: tuple[TrainedArm, ...]
    vllm: Path | None
    max_loss: float
    reviews: int
    rounds: int


@dataclass(frozen=True)
class Comparison:
    """What was measured of the rivals, the first of which is the language model."""

    sample: Sample
    found: Sequence[Measured]
    absent: Sequence[Absent]
    machine: str

    def relative(self, one: Measured) -> dict[str, float]:
        """Return the speed relative to the language model's in the same round: median and ends."""
        return spread([own / base for own, base in zip(one.speeds, self.found[0].speeds, strict=True)])

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        front = on_front(self.found)
        return {
            "machine": self.machine,
            "reviews": self.sample.counts,
            "ratios": {f"{one.name} / {self.found[0].name}": self.relative(one) for one in self.found},
            "rivals": [asdict(one) | {"pareto_front": one.name in front} for one in self.found],
            "absent": [asdict(one) for one in self.absent],
        }

    def as_text(self) -> str:
        """Return a Markdown table, and what is missing in it."""
        counts = " and ".join(f"{count} {label}" for label, count in self.sample.counts.items())
        rows = [f"| {' | '.join(cells)} |" for cells in self._rows()]
        return "\n".join(
            [
                f"{self.machine}; {counts} evaluation reviews of the version at its natural shares; "
                f"rounds: {len(self.found[0].speeds)}\n",
                f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|",
                *rows,
                *(f"\nNot measured: {one.name}: {one.reason}" for one in self.absent),
            ]
        )

    def _rows(self) -> list[tuple[str, ...]]:
        front = on_front(self.found)
        rows: list[tuple[str, ...]] = []
        for one in self.found:
            cost, ratio = one.cost, self.relative(one)
            rows.append(
                (
                    one.name,
                    f"{one.accuracy:.3f}",
                    "-" if one.roc_auc is None else f"{one.roc_auc:.3f}",
                    f"{cost.reviews_per_second:,.1f}",
                    f"{ratio['median']:.3g} ({ratio['min']:.3g}-{ratio['max']:.3g})",
                    f"{one.cpu_seconds:.2g}",
                    f"{cost.p50_ms:,.1f}",
                    f"{cost.p95_ms:,.1f}",
                    f"{cost.megabytes:,.1f}",
                    "-" if cost.training_seconds is None else f"{cost.training_seconds:,.0f}",
                    "yes" if one.name in front else "no",
                )
            )
        return rows


def arms_of(_context: click.Context, _option: click.Parameter, names: str) -> tuple[TrainedArm, ...]:
    """Return the arms in a list with commas.

    Raises:
        BadParameter: one of them does not exist.
    """
    given = tuple(name.strip() for name in names.split(",") if name.strip())
    known = get_args(TrainedArm)
    if unknown := set(given) - set(known):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: choose among {', '.join(known)}")
    return cast("tuple[TrainedArm, ...]", given)


def trained_arms(
    names: Sequence[TrainedArm], model: LanguageModel, settings: Settings, sample: Sample, scratch: Path
) -> list[Rival]:
    """Train the arms on the configuration.

    Raises:
        UsageError: it trains on reviews of the sample, or has other labels.
    """
    from review_sentiment.training.preparation import prepare

    if not names:
        return []
    prepared, rule = prepare(settings), model.scorer.rule
    seen = {*prepared.train.frame["review_id"], *prepared.validation.frame["review_id"]}
    if prepared.train.labels != rule.labels or seen.intersection(sample.ids):
        raise UsageError(
            "The arms would be trained with other labels, or on evaluation reviews of the version. Give the "
            "settings of the version's run with --config and --set, or no arms: --arms ''."
        )
    return [trained_arm(name, prepared, rule.prior, settings.seed, scratch / f"arm-{name}") for name in names]


def compare(settings: Settings, options: Options) -> Comparison:
    """Load or train everything, and measure it."""
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.tracking import evidence, model_versions
    from review_sentiment.tracking.mlflow_store import temporary_directory

    plan = plan_compute(settings.model.device, settings.model.precision)
    with temporary_directory() as directory, ExitStack() as processes:
        scratch = Path(directory)
        with mlflow_ready() as log_file:
            found = model_versions.get_version(options.name or settings.registry.model_name, options.version)
            model = language_model(found, plan, scratch)
            shares = dict(zip(model.scorer.rule.labels, model.scorer.rule.prior, strict=True))
            sample = drawn(evidence.reviews_of(found), shares, options.reviews, settings.seed)
            students = settings.student.model_name
            rivals = [model.rival, *students_and_both(model, students, options.max_loss, plan, scratch)]
        click.echo(f"log {log_file}", err=True)
        with quiet(log_file, messages=False) as console:
            rivals += trained_arms(options.arms, model, settings, sample, scratch)
            rivals += generating(model, plan, options.vllm, scratch, processes)
            able = [one for one in rivals if isinstance(one, Rival)]
            timings = measured(able, sample, options.rounds, console.print_line)
    return Comparison(sample, timings, [one for one in rivals if isinstance(one, Absent)], machine())


def machine() -> str:
    """Return the processor, the threads and the version of torch."""
    import torch

    return (
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )


@click.command()
@click.option("--version", default="champion", show_default=True, help="Version number or alias.")
@click.option("--arms", default=",".join(get_args(TrainedArm)), show_default=True, callback=arms_of)
@click.option(
    "--vllm", type=click.Path(exists=True, path_type=Path), help="The Python of vLLM's environment."
)
@click.option("--max-loss", default=MAX_LOSS, show_default=True, help="Accuracy that a cascade may lose.")
@click.option("--reviews", type=click.IntRange(1), default=200, show_default=True, help="Maximum reviews.")
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="Times all are measured."
)
@NAME
@CONFIG
@OVERRIDES
@JSON
def main(config_file: Path | None, overrides: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Print a Markdown table; progress goes to standard error."""
    try:
        prepare_environment()
        settings = load_settings(config_file or default_config(), overrides)
        result = compare(settings, Options(**options))
    except ReviewSentimentError as error:
        raise click.ClickException(str(error)) from error
    click.echo(result.as_text())
    if as_json:
        click.echo(json.dumps(result.as_json()))


if __name__ == "__main__":
    main()
