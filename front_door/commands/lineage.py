"""`lineage`: what a version was made from, and which versions a run, commit or set of reviews led to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from front_door.commands.options import JSON, NAME
from front_door.commands.registry_access import mlflow_ready, model_name
from front_door.terminal.console import redirect_output
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion


@click.command()
@click.argument("start", metavar="FROM")
@NAME
@JSON
def lineage(start: str, name: str | None, as_json: bool) -> None:
    """Show the versions that come from FROM.

    Shows what each version was made from. FROM is a version or an alias, the name or id of a ZenML run, the
    id of an MLflow run, a commit, or the fingerprint of the training or evaluation reviews. The first six
    characters of an id are enough.
    """
    model = model_name(name)
    with mlflow_ready() as log_file:
        from review_sentiment.registry.lineage import SHORTEST_PREFIX, TITLES, versions_from
        from review_sentiment.tracking import model_versions

        versions = model_versions.versions_of(model)
        found = versions_from(versions, start)
    if not found and len(start) >= SHORTEST_PREFIX:
        with redirect_output(log_file):
            found = _of_pipeline_run(versions, start)
    if not found:
        aliases = [alias for version in versions for alias in version.aliases]
        known = ", ".join([*(version.version for version in versions), *aliases])
        raise UsageError(
            f"'{start}' is not a version of '{model}' (there are: {known}), and no version comes from a "
            f"ZenML run, MLflow run, commit or reviews with an id that starts like this."
            f"{did_you_mean(start, aliases)} `python run_pipeline.py models` lists the versions."
        )
    if as_json:
        click.echo(json.dumps([_as_object(version, TITLES) for version in found]))
    else:
        click.echo("\n\n".join(_as_text(version, TITLES) for version in found))


def _of_pipeline_run(versions: Sequence[ModelVersion], start: str) -> list[ModelVersion]:
    """Return the version that a ZenML run registered; only ZenML knows it if that step was cached."""
    from operators.zenml_store import connect

    try:
        steps = connect().get_pipeline_run(start).steps
    except (KeyError, ValueError):  # no such run, or several that start like this
        return []
    outputs = steps["register_model"].outputs if "register_model" in steps else {}
    registered = [artifact.run_metadata for artifact in outputs.get("registered", [])]
    return [
        version
        for version in versions
        if any((known["name"], known["version"]) == (version.name, version.version) for known in registered)
    ]


def _as_object(version: ModelVersion, titles: dict[str, str]) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created": version.created.isoformat(),
        "uri": version.uri,
        "mlflow_run_id": version.run_id,
        **{tag: version.tags.get(tag) for tag in titles},
    }


def _as_text(version: ModelVersion, titles: dict[str, str]) -> str:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    rows = [
        ("created", f"{version.created.astimezone():%Y-%m-%d %H:%M}"),
        ("MLflow run", version.run_id),
        *((title, version.tags[tag]) for tag, title in titles.items() if tag in version.tags),
    ]
    lines = [f"  {title:18}{value}" for title, value in rows]
    return "\n".join([f"{version.name} version {version.version}{aliases}", *lines])
