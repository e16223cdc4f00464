"""`score`: a file in, the same rows with labels out, by a pipeline of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from front_door.commands.registry_access import NAME
from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import output_to
from review_sentiment.errors import EXIT_FAILED
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import ModelSettings
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.scoring.bulk_scoring import BulkResult


@dataclass(frozen=True)
class Scored:
    """What became of a file, its drift report, and whether all of it came from the cache."""

    result: BulkResult
    drift: DataReport
    drift_page: Path
    cached: bool


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
        scored = _score(
            source, output, name or settings.registry.model_name, version, settings.model, tracking_uri()
        )
    found = {key: value for key, value in asdict(scored.result).items() if key != "sample"}
    found |= {
        "cached": scored.cached,
        "distances": dict(scored.drift.distances),
        "drifted": list(scored.drift.drifted),
        "drift_page": str(scored.drift_page),
    }
    click.echo(json.dumps(found) if as_json else _as_text(scored))
    if fail_on_drift and scored.drift.drifted:
        raise SystemExit(EXIT_FAILED)


def _score(source: Path, output: Path, name: str, version: str, model: ModelSettings, store: str) -> Scored:
    """Score a file into another one with a version, given by its number or alias.

    The same file and version come from the cache as long as the output is there.

    Raises:
        UsageError: the file has no column `text`, or there is no such version.
        DataError: the file cannot be read.
        TrackingError: MLflow cannot be reached.
    """
    from front_door.stack.files import read_stack
    from front_door.stack.used import use_stack
    from review_sentiment.hashing import file_hash
    from review_sentiment.scoring.review_files import columns_of
    from review_sentiment.tracking import mlflow_store, model_versions

    columns_of(source)
    mlflow_store.configure(store)
    found = model_versions.get_version(name, version)

    # Not before: what is refused needs no ZenML, whose import takes seconds.
    from zenml.client import Client

    from pipelines.score_reviews import score_reviews

    use_stack(read_stack("local"))
    configured = score_reviews.with_options(enable_cache=output.is_file())
    finished = configured(
        source=str(source.resolve()),
        content=file_hash(source),
        output=str(output.resolve()),
        name=name,
        version=found.version,
        model=model,
    )
    step = Client().get_pipeline_run(finished.id).steps["score_file"]
    drift = step.outputs["drift"][0].load()
    page = output.with_name(f"{output.name}.drift.html")
    page.write_text(drift.html, encoding="utf-8")
    return Scored(step.outputs["scored"][0].load(), drift, page, str(step.status) == "cached")


def _as_text(scored: Scored) -> str:
    """Return what a person wants to know first."""
    found = scored.result
    labels = ", ".join(f"{count:,} {label}" for label, count in sorted(found.labels.items()))
    lines = [
        f"{found.output}: {found.rows:,} rows by version {found.model_version} ({labels})"
        + (", from the cache" if scored.cached else "")
    ]
    if found.failed:
        lines.append(f"{found.failed:,} rows failed; {found.failed_file} has each with the reason")
    apart = ", ".join(f"{column} {distance:.2f}" for column, distance in scored.drift.distances.items())
    drifted = ", ".join(scored.drift.drifted)
    lines.append(
        f"distance from the training reviews: {apart}"
        + (f"; drifted: {drifted}" if drifted else "; none has drifted")
        + f" ({scored.drift_page})"
    )
    return "\n".join(lines)
