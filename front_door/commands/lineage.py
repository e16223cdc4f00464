"""`lineage`: where a version comes from, and which versions came of a run, a commit or some reviews."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from front_door.commands.registry_access import NAME, mlflow_ready, model_name
from front_door.terminal.console import output_to
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion


@click.command()
@click.argument("start", metavar="FROM")
@NAME
@click.option("--json", "as_json", is_flag=True, help="Print the versions as JSON.")
def lineage(start: str, name: str | None, as_json: bool) -> None:
    """Say which versions came of FROM, and what each was made from.

    FROM is a version or an alias; or the name or id of a ZenML run, the id of an MLflow run, a commit, or
    the fingerprint of training or evaluation reviews, of which the first six characters are enough.
    """
    model = model_name(name)
    with mlflow_ready() as log_file:
        from review_sentiment.registry.lineage import SHORTEST_PREFIX, versions_from
        from review_sentiment.tracking import model_versions

        versions = model_versions.list_versions(model)
        found = versions_from(versions, start)
    if not found and len(start) >= SHORTEST_PREFIX:
        with output_to(log_file, debug=False):
            found = _of_pipeline_run(versions, start)
    if not found:
        numbers = ", ".join(version.version for version in versions) or "none"
        raise UsageError(
            f"'{start}' is no version of '{model}' (there are: {numbers}), and no version of it comes from a "
            "ZenML run, an MLflow run, a commit or reviews that begin so. "
            "`python run_pipeline.py models` lists them."
        )
    if as_json:
        click.echo(json.dumps([_as_object(version) for version in found]))
    else:
        click.echo("\n\n".join(_as_text(version) for version in found))


def _of_pipeline_run(versions: Sequence[ModelVersion], start: str) -> list[ModelVersion]:
    """Return the version that a run ended with whose registration came from the cache; ZenML knows it."""
    from zenml.client import Client

    try:
        steps = Client().get_pipeline_run(start).steps
    except (KeyError, ValueError):  # none, or several that begin so
        return []
    outputs = steps["register_model"].outputs if "register_model" in steps else {}
    registered = [artifact.run_metadata for artifact in outputs.get("registered", [])]
    return [
        version
        for version in versions
        if any((known["name"], known["version"]) == (version.name, version.version) for known in registered)
    ]


def _as_object(version: ModelVersion) -> dict[str, Any]:
    from review_sentiment.registry.lineage import TITLES

    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created": version.created.isoformat(),
        "uri": version.uri,
        "mlflow_run_id": version.run_id,
        **{tag: version.tags.get(tag) for tag in TITLES},
    }


def _as_text(version: ModelVersion) -> str:
    from review_sentiment.registry.lineage import TITLES

    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    known = {title: version.tags[tag] for tag, title in TITLES.items() if tag in version.tags}
    lines = [
        ("made", f"{version.created.astimezone():%Y-%m-%d %H:%M}"),
        ("MLflow run", version.run_id),
        *known.items(),
    ]
    return "\n".join(
        [f"{version.name} version {version.version}{aliases}"]
        + [f"  {title:18}{value}" for title, value in lines]
    )
