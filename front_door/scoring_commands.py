"""The commands that put a version to work: on a file, and for requests."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from front_door.configs import default_config
from front_door.console import output_to
from front_door.registry_access import NAME, model_name
from front_door.state import new_log_file, tracking_uri
from review_sentiment.errors import EXIT_FAILED
from review_sentiment.settings_files import load_settings


@click.command()
@click.option("--version", default="champion", show_default=True, help="A number or an alias.")
@click.option("--port", default=5001, show_default=True, help="Port on this machine.")
@NAME
def serve(version: str, port: int, name: str | None) -> None:
    """Answer requests with a version, on this machine only. Ctrl-C ends it; restart it for a new champion."""
    from front_door.browse import serve_version

    serve_version(model_name(name), version, port)


@click.command("score")
@click.argument("source", type=click.Path(path_type=Path), metavar="INPUT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="A file of the same format."
)
@click.option("--version", default="champion", show_default=True, help="A number or an alias.")
@click.option("--fail-on-drift", is_flag=True, help="Exit with 1 where the reviews have drifted.")
@NAME
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="As for a run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def score_command(
    source: Path,
    output: Path,
    version: str,
    fail_on_drift: bool,
    name: str | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Label the reviews of INPUT: CSV, JSON lines or parquet with a column `text` and, maybe, `title`.

    The output has the input's columns, the label, a probability for each label, and the version. Rows that
    cannot be scored are in OUTPUT.failed.jsonl. What was interrupted goes on where it was.
    """
    settings = load_settings(config_file or default_config())
    log_file = new_log_file()
    click.echo(f"log {log_file}", err=True)
    with output_to(log_file, debug=False):
        from front_door.scoring import as_text, score

        scored = score(
            source, output, name or settings.registry.model_name, version, settings.model, tracking_uri()
        )
    found = {key: value for key, value in asdict(scored.result).items() if key != "sample"}
    found |= {
        "cached": scored.cached,
        "distances": dict(scored.drift.distances),
        "drifted": list(scored.drift.drifted),
        "drift_page": str(scored.drift_page),
    }
    click.echo(json.dumps(found) if as_json else as_text(scored))
    if fail_on_drift and scored.drift.drifted:
        raise SystemExit(EXIT_FAILED)


SCORING_COMMANDS = (score_command, serve)
