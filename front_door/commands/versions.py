"""The commands for model versions: list, trace, compare, promote, roll back, export, tables for a paper."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.commands.registry_access import NAME, mlflow_ready, model_name
from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import output_to
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.registry.export import ExportReport

EXAMPLES_SHOWN = 5
COMPARED_REVIEWS = 200
"""Validation reviews that the merged and the adapted model both answer."""


@click.command()
@NAME
@click.option("--json", "as_json", is_flag=True, help="Print the versions as JSON.")
def models(name: str | None, as_json: bool) -> None:
    """List the registered model versions."""
    with mlflow_ready():
        from review_sentiment.tracking import model_versions

        chosen = model_name(name)
        versions = model_versions.list_versions(chosen)
    from front_door.run.summary import versions_table

    if as_json:
        click.echo(json.dumps([asdict(found) | {"created": found.created.isoformat()} for found in versions]))
    elif versions:
        click.echo(versions_table(versions))
    else:
        click.echo(f"No version of '{chosen}' at {tracking_uri()} yet. Make one: python run_pipeline.py")


@click.command()
@click.argument("first")
@click.argument("second")
@NAME
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
def compare(first: str, second: str, name: str | None, as_json: bool) -> None:
    """Compare the version SECOND with the version FIRST: settings, figures, the paired test, answers."""
    with mlflow_ready():
        from review_sentiment.registry.version_comparison import compare_versions

        found = compare_versions(model_name(name), first, second)
    from front_door.commands.comparison_text import as_json_object, as_text

    click.echo(json.dumps(as_json_object(found)) if as_json else as_text(found, EXAMPLES_SHOWN))


@click.command()
@click.argument("version")
@NAME
def promote(version: str, name: str | None) -> None:
    """Make VERSION (a number or an alias) the champion, whatever its gate said."""
    with mlflow_ready():
        from review_sentiment.tracking import model_versions

        chosen = model_versions.get_version(model_name(name), version)
        model_versions.make_champion(chosen.name, chosen.version)
    if chosen.tags.get("gate") != "passed":
        click.echo(f"Its gate: {chosen.tags.get('gate', 'unknown')}.", err=True)
    click.echo(f"{chosen.name} version {chosen.version} is the champion. `rollback` takes it back.")


@click.command()
@NAME
def rollback(name: str | None) -> None:
    """Give the champion's place back to the champion before."""
    with mlflow_ready():
        from review_sentiment.tracking import model_versions

        chosen = model_name(name)
        version = model_versions.roll_back(chosen)
    click.echo(f"{chosen} version {version} is the champion again.")


@click.command("export")
@click.argument("version")
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A new directory.",
)
@NAME
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="As for a run.")
def export_command(version: str, directory: Path, name: str | None, config_file: Path | None) -> None:
    """Write VERSION (a number or an alias) as plain merged weights."""
    settings = load_settings(config_file or default_config())
    log_file = new_log_file()
    click.echo(f"log {log_file}", err=True)
    with output_to(log_file, debug=False):
        report = _export(name or settings.registry.model_name, version, settings, directory, tracking_uri())
    click.echo(
        f"{report.directory}: merged weights (safetensors), tokenizer and chat template\n"
        f"{report.changed_share:.2%} of the answers to {report.n} validation reviews changed; a label's "
        f"probability by at most {report.largest_difference:.3f}"
    )


@click.command()
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default="results",
    show_default=True,
    help="A directory.",
)
@click.option("--versions", default=None, metavar="A,B,…", help="Numbers or aliases. Default: all.")
@NAME
def results(directory: Path, versions: str | None, name: str | None) -> None:
    """Write tables (CSV, JSON, Markdown, LaTeX) and figures (PDF) of versions, seeds aggregated."""
    with mlflow_ready():
        from review_sentiment.registry.paper_results import collect, write
        from review_sentiment.tracking import model_versions

        model = model_name(name)
        chosen = (
            [model_versions.get_version(model, version.strip()) for version in versions.split(",")]
            if versions
            else model_versions.list_versions(model)[::-1]
        )
        files = write(collect(chosen), directory)
    click.echo(f"{directory}: {len(files)} files, {', '.join(file.name for file in files[:8])}, …")


def _export(name: str, version: str, settings: Settings, directory: Path, store: str) -> ExportReport:
    """Fetch the version, merge it and write it to the directory.

    Raises:
        UsageError: there is no such version, or the directory is not empty.
        TrackingError: MLflow cannot be reached.
    """
    import tempfile

    from review_sentiment.models.compute import plan_compute
    from review_sentiment.registry.export import export
    from review_sentiment.tracking import mlflow_store, model_versions
    from review_sentiment.training.preparation import prepare

    mlflow_store.configure(store)
    found = model_versions.get_version(name, version)
    plan = plan_compute(settings.model.device, settings.model.precision)
    chats = prepare(settings).validation.head(COMPARED_REVIEWS)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-export-") as scratch:
        serving, adapter = model_versions.download_adapter(found, Path(scratch))
        return export(serving.base, adapter, plan, chats, directory)
