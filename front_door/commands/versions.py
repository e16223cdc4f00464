"""The commands for model versions: list, compare, promote, roll back, export, and tables for a paper."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.commands.options import CONFIG, JSON, NAME, OVERRIDES, new_directory
from front_door.commands.registry_access import mlflow_ready, model_name
from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import quiet
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.registry.export import ExportReport

EXAMPLES_SHOWN = 5
COMPARED_REVIEWS = 200
"""Evaluation reviews of a version on which an export compares the merged model with the adapter."""


@click.command()
@NAME
@JSON
def models(name: str | None, as_json: bool) -> None:
    """List the registered model versions."""
    from front_door.run.summary import versions_table

    chosen = model_name(name)
    with mlflow_ready():
        from review_sentiment.tracking import model_versions

        versions = model_versions.list_versions(chosen)
    if as_json:
        click.echo(json.dumps([asdict(found) | {"created": found.created.isoformat()} for found in versions]))
    elif versions:
        click.echo(versions_table(versions))
    else:
        click.echo(f"'{chosen}' has no versions at {tracking_uri()} yet. Create one: python run_pipeline.py")


@click.command()
@click.argument("first")
@click.argument("second")
@NAME
@JSON
def compare(first: str, second: str, name: str | None, as_json: bool) -> None:
    """Compare version SECOND with version FIRST.

    Shows both versions' settings and metrics, a paired test, and reviews that were won and lost.
    """
    from front_door.commands.comparison_text import as_json_object, as_text

    with mlflow_ready():
        from review_sentiment.registry.version_comparison import compare_versions

        found = compare_versions(model_name(name), first, second)
    click.echo(json.dumps(as_json_object(found)) if as_json else as_text(found, EXAMPLES_SHOWN))


@click.command()
@click.argument("version")
@NAME
@JSON
def promote(version: str, name: str | None, as_json: bool) -> None:
    """Make VERSION (a number or an alias) the champion.

    It need not have passed its gate.
    """
    with mlflow_ready():
        from review_sentiment.tracking import model_versions

        chosen = model_versions.get_version(model_name(name), version)
        model_versions.make_champion(chosen.name, chosen.version)
    if chosen.tags.get("gate") != "passed":
        click.echo(f"Its gate: {chosen.tags.get('gate', 'unknown')}.", err=True)
    done = f"{chosen.name} version {chosen.version} is the champion. Undo: python run_pipeline.py rollback"
    click.echo(_champion_json(chosen.name, chosen.version) if as_json else done)


@click.command()
@NAME
@JSON
def rollback(name: str | None, as_json: bool) -> None:
    """Make the previous champion the champion again."""
    with mlflow_ready():
        from review_sentiment.tracking import model_versions

        chosen = model_name(name)
        version = model_versions.roll_back(chosen)
    done = f"{chosen} version {version} is the champion again."
    click.echo(_champion_json(chosen, version) if as_json else done)


def _champion_json(name: str, version: str) -> str:
    return json.dumps({"name": name, "version": version, "champion": True})


@click.command("export")
@click.argument("version")
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path),
    callback=new_directory,
    required=True,
    help="A new or empty directory.",
)
@NAME
@CONFIG
@OVERRIDES
@JSON
def export_command(
    version: str,
    directory: Path,
    name: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Export VERSION (a number or an alias) as merged weights.

    They can be used without this project. The settings choose the device and precision of the merge; the
    reviews on which it is checked are those that the version was evaluated on.
    """
    settings = load_settings(config_file or default_config(), overrides)
    log_file = new_log_file()
    click.echo(f"log {log_file}", err=True)
    with quiet(log_file):
        report = _export(name or settings.registry.model_name, version, settings, directory)
    if as_json:
        click.echo(json.dumps(asdict(report) | {"directory": str(report.directory)}))
        return
    click.echo(
        f"{report.directory}: merged weights (safetensors), tokenizer and chat template\n"
        f"On {report.n} of the version's evaluation reviews, {report.changed_fraction:.2%} of the answers "
        f"changed, and label probabilities by at most {report.largest_difference:.3f}"
    )


def _export(name: str, version: str, settings: Settings, directory: Path) -> ExportReport:
    """Download a version's adapter, and write it to the directory, merged into its base model.

    Raises:
        UsageError: the version does not exist.
        TrackingError: MLflow cannot be reached.
    """
    import tempfile

    from review_sentiment.models.compute import plan_compute
    from review_sentiment.registry.export import export
    from review_sentiment.tracking import evidence, mlflow_store, model_versions

    mlflow_store.configure(tracking_uri())
    found = model_versions.get_version(name, version)
    model_versions.require_base(found)
    plan = plan_compute(settings.model.device, settings.model.precision)
    reviews = evidence.reviews_of(found).head(COMPARED_REVIEWS)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-export-") as scratch:
        serving, adapter = model_versions.download_adapter(found, Path(scratch))
        return export(serving, adapter, plan, reviews, directory)


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
@click.option("--versions", metavar="A,B,…", help="Version numbers or aliases. Default: all versions.")
@NAME
@JSON
def results(directory: Path, versions: str | None, name: str | None, as_json: bool) -> None:
    """Write tables and figures of versions for a paper.

    CSV, JSON, Markdown, LaTeX and PDF files; versions that differ only in their seed are aggregated.
    """
    with mlflow_ready():
        from review_sentiment.registry.paper_results import collect, write
        from review_sentiment.tracking import model_versions

        model = model_name(name)
        if versions:
            chosen = [model_versions.get_version(model, each.strip()) for each in versions.split(",")]
        else:
            chosen = model_versions.versions_of(model)[::-1]
        files = write(collect(chosen), directory)
    if as_json:
        click.echo(json.dumps([str(file) for file in files]))
        return
    click.echo(f"{directory}: {len(files)} files, {', '.join(file.name for file in files[:8])}, …")
