"""The commands for model versions: list, compare, promote, roll back, and tables for a paper."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from front_door.commands.options import JSON, NAME
from front_door.commands.registry_access import mlflow_ready, model_name
from front_door.state import tracking_uri

EXAMPLES_SHOWN = 5


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
        from review_sentiment.tracking import aliases, model_versions

        chosen = model_versions.get_version(model_name(name), version)
        aliases.make_champion(chosen.name, chosen.version)
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
        from review_sentiment.tracking import aliases

        chosen = model_name(name)
        version = aliases.roll_back(chosen)
    done = f"{chosen} version {version} is the champion again."
    click.echo(_champion_json(chosen, version) if as_json else done)


def _champion_json(name: str, version: str) -> str:
    return json.dumps({"name": name, "version": version, "champion": True})


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
