"""`score`: a file in, the same rows with labels out, by a pipeline of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from front_door.stack import use_stack
from front_door.stack_files import read_stack
from review_sentiment.hashing import file_hash
from review_sentiment.scoring.review_files import columns_of
from review_sentiment.tracking import mlflow_store, model_versions

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


def score(source: Path, output: Path, name: str, version: str, model: ModelSettings, store: str) -> Scored:
    """Score a file into another one with a version, given by its number or alias.

    The same file and version come from the cache as long as the output is there.

    Raises:
        UsageError: the file has no column `text`, or there is no such version.
        DataError: the file cannot be read.
        TrackingError: MLflow cannot be reached.
    """
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


def as_text(scored: Scored) -> str:
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
