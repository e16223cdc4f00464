"""`sweep`: search for the best settings on the validation reviews."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.commands.options import CONFIG, JSON, OVERRIDES
from front_door.stack.configs import DEFAULT_STACK, default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet
from front_door.terminal.text_table import columns
from review_sentiment.settings_files import load_settings, with_overrides

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.training.sweep import TrialResult


@click.command()
@click.option(
    "--over",
    "dimensions",
    multiple=True,
    required=True,
    metavar="KEY=VALUES",
    help="Setting to search: lora.rank=8,16,32 or training.learning_rate=1e-4..1e-3. Can be repeated.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Total finished trials, including those of earlier sweeps.",
)
@CONFIG
@OVERRIDES
@JSON
def sweep(
    dimensions: tuple[str, ...],
    trials: int,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Search for the settings with the best validation score.

    The score is the macro-F1 on the validation reviews. Finished trials are kept for later sweeps.
    """
    settings = load_settings(config_file or default_config(), overrides)
    log_file = new_log_file()
    click.echo(f"log {log_file}", err=True)
    with quiet(log_file):
        found = search(settings, dimensions, trials, tracking_uri())
    given = ["--config", str(config_file)] if config_file else []
    given += [word for override in overrides for word in ("--set", override)]
    click.echo(json.dumps([asdict(trial) for trial in found]) if as_json else trials_table(found, given))


def search(settings: Settings, dimensions: Sequence[str], trials: int, store: str) -> list[TrialResult]:
    """Run the sweep, log each finished trial to the MLflow store, and return the trials, the best first.

    Raises:
        UsageError: a dimension cannot be searched, or a setting does not accept one of its values.
        TrackingError: MLflow cannot be reached.
    """
    from front_door.run.preflight import Preflight
    from front_door.stack.files import read_stack
    from review_sentiment.data.sources.catalogue import with_categories
    from review_sentiment.models.access import pinned
    from review_sentiment.tracking import mlflow_store
    from review_sentiment.tracking.trials import log_trial
    from review_sentiment.training.sweep import parse_dimensions
    from review_sentiment.training.sweep import sweep as run_sweep

    parsed = parse_dimensions(dimensions, settings)
    settings = with_categories(settings)
    Preflight(settings, read_stack(DEFAULT_STACK)).require()
    for layers in (choice for each in parsed if each.key == "lora.targets" for choice in each.choices):
        Preflight(with_overrides(settings, [f"lora.targets={layers}"]), read_stack(DEFAULT_STACK)).adapters()
    settings = settings.model_copy(update={"model": pinned(settings.model)})
    mlflow_store.configure(store)

    def log(identity: str, result: TrialResult) -> None:
        log_trial(
            settings.tracking.experiment,
            identity,
            f"trial-{result.number}",
            {key.replace(".", "/"): value for key, value in result.values.items()},
            {f"validation/{name}": value for name, value in result.figures.items()},
        )

    return run_sweep(settings, parsed, trials, log)


def trials_table(trials: Sequence[TrialResult], given: Sequence[str] = ()) -> str:
    """Return one line per trial, the best first, and the command that runs with its settings.

    `given` are the options that chose the settings of the sweep; the trial's own values come after them.
    """
    if not trials:
        return "No trial finished; see the log."
    options = [
        [word for pair in trial.values.items() for word in ("--set", "=".join(pair))] for trial in trials
    ]
    rows = [("macro-F1", "ROC AUC", "seconds", "settings")]
    rows += [
        (
            f"{trial.macro_f1:.3f}",
            f"{trial.figures['roc_auc']:.3f}",
            f"{trial.figures['seconds']:.0f}",
            shlex.join(shown),
        )
        for trial, shown in zip(trials, options, strict=True)
    ]
    command = shlex.join(["python", "run_pipeline.py", *given, *options[0]])
    return f"{columns(rows)}\n\n{command}"
