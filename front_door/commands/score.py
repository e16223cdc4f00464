"""`score`: a file of reviews in, the same rows with labels out, as a pipeline of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from front_door.commands.options import CONFIG, JSON, NAME, OVERRIDES
from front_door.stack.configs import DEFAULT_STACK, default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import (
    CollectFromFirstStep,
    redirect_output,
    without_garbage_collection,
)
from review_sentiment.decision.prior_choice import ESTIMATE, VERSION, parse_prior
from review_sentiment.errors import EXIT_FAILED
from review_sentiment.names import counted, in_sentence
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import ModelSettings, Settings
    from review_sentiment.data.data_report import DataReport
    from review_sentiment.scoring.answered_file import BulkResult
    from review_sentiment.tracking.model_versions import ModelVersion

MAX_SHARES = 6
"""Labels whose shares are shown, the most frequent ones."""


@dataclass(frozen=True)
class ScoringOptions:
    """The files and the version, under the names that click passes."""

    source: Path
    output: Path
    version: str
    prior: str
    text_column: str | None
    title_column: str | None
    name: str | None
    config_file: Path | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class ScoredFile:
    """The result for a file, its drift report, and whether the scores came from the cache."""

    result: BulkResult
    drift: DataReport
    drift_page: Path
    cached: bool

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        result = asdict(self.result)
        del result["sample"]
        return result | {
            "total": self.result.total,
            "cached": self.cached,
            "distances": dict(self.drift.distances),
            "drifted": list(self.drift.drifted),
            "drift_page": str(self.drift_page),
        }

    def as_text(self) -> str:
        """Return the result for the terminal."""
        found = self.result
        labels = ", ".join(counted(sorted(found.labels.items())))
        source = ", scores from the cache" if self.cached else ""
        columns = f"texts from column '{found.columns.text}', "
        columns += f"titles from '{found.columns.title}'" if found.columns.title else "no titles"
        lines = [
            f"{found.output}: {found.rows:,} rows by version {found.model_version} ({labels}){source}",
            columns,
            f"{found.rows:,} scored + {found.failed:,} failed = {found.total:,} rows of {found.source}",
        ]
        if found.failed:
            lines.append(f"{found.failed_file} has each failed row with the reason")
        lines += [*_unsure_lines(found), *_share_lines(found)]
        distances = ", ".join(f"{column} {distance:.2f}" for column, distance in self.drift.distances.items())
        drifted = f"drifted: {', '.join(self.drift.drifted)}" if self.drift.drifted else "no drift"
        lines.append(f"distance from the training reviews: {distances}; {drifted} ({self.drift_page})")
        return "\n".join(lines)


def _unsure_lines(found: BulkResult) -> list[str]:
    """Return how many rows are not answered, and which of them are the least certain."""
    if found.unsure is None:
        return []
    count = f"{found.unsure.rows:,} of {found.rows:,} rows ({found.unsure.rows / found.rows:.1%}) are unsure"
    if not found.unsure.file:
        return [count]
    first = ", ".join(
        f"{row.number} ({in_sentence(row.label)} {row.confidence:.3f})" for row in found.unsure.least_certain
    )
    return [f"{count}: {found.unsure.file} has them, least certain first", f"least certain rows: {first}"]


def _share_lines(found: BulkResult) -> list[str]:
    """Return the estimated class shares beside those of the version, and whether they agree."""
    every = found.shares.items()
    shares = (
        sorted(every, key=lambda item: -item[1].estimate)[:MAX_SHARES] if len(every) > MAX_SHARES else every
    )
    estimates = ", ".join(
        f"{in_sentence(label)} {share.estimate:.1%} ({share.low:.1%} to {share.high:.1%})"
        for label, share in shares
    )
    if more := len(every) - len(shares):
        estimates += f" and {more} more labels (--json has all)"
    version = ", ".join(f"{in_sentence(label)} {share.version:.1%}" for label, share in shares)
    used = ", ".join(f"{in_sentence(label)} {share.used:.1%}" for label, share in shares)
    answered = "" if found.prior == VERSION else f"; answered for {used}"
    lines = [f"estimated class shares, with 95% intervals: {estimates}; the version's: {version}{answered}"]
    if outside := [in_sentence(label) for label, share in every if not share.is_plausible]:
        whose = "version's" if found.prior == VERSION else "given"
        lines.append(
            f"The {whose} shares lie outside these intervals ({', '.join(outside)}). Run the same command "
            f"with --prior {ESTIMATE} to answer for the estimated shares; the file is not scored again."
        )
    return lines


@click.command("score")
@click.argument("source", type=click.Path(path_type=Path), metavar="INPUT")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="A file of the same format."
)
@click.option("--version", default="champion", show_default=True, help="Version number or alias.")
@click.option(
    "--prior",
    default=VERSION,
    show_default=True,
    help="Class shares to answer for: the version's, those estimated from INPUT (estimate), the share of the "
    "first label (0.05), or shares by label (negative=0.05,neutral=0.1).",
)
@click.option("--text-column", help="Column with the reviews; by default that of the training, or `text`.")
@click.option("--title-column", help="Column with their titles; by default that of the training, or `title`.")
@click.option("--fail-on-drift", is_flag=True, help="Exit with code 1 if the reviews have drifted.")
@NAME
@CONFIG
@OVERRIDES
@JSON
def score_command(fail_on_drift: bool, as_json: bool, **options: Any) -> None:
    """Label the reviews in INPUT.

    INPUT is a CSV, JSON or Parquet file; it may be compressed (gzip, zstd, bzip2, xz). Its reviews are in the
    columns of the version's training, or in `text` and optionally `title`. OUTPUT has the columns of INPUT,
    the label, the probability of each label, and the model version. Rows that cannot be scored are in
    OUTPUT.failed.jsonl, rows that the version leaves unanswered in OUTPUT.unsure.jsonl too. If interrupted,
    run the same command again to resume.
    """
    chosen = ScoringOptions(**options)
    settings = load_settings(chosen.config_file or default_config(), chosen.overrides)
    log_file = new_log_file()
    click.echo(f"log {log_file}", err=True)
    with (
        redirect_output(log_file),
        CollectFromFirstStep().listening(),
        without_garbage_collection(),
    ):
        scored = _score(replace(chosen, output=chosen.output.resolve()), settings)
    click.echo(json.dumps(scored.as_json()) if as_json else scored.as_text())
    if fail_on_drift and scored.drift.drifted:
        raise SystemExit(EXIT_FAILED)


def _score(options: ScoringOptions, settings: Settings) -> ScoredFile:
    """Score a file, or take the scores of the same file and version from the cache, and write the output.

    Raises:
        UsageError: the file, the output, the version or the prior cannot be used.
        DataError: the file cannot be read.
        TrackingError: MLflow cannot be reached.
        ModelUnavailableError: the base model is not the one that the version was trained on.
    """
    from review_sentiment.data.files.catalogue import open_reviews
    from review_sentiment.scoring.output_files import check_output, locked
    from review_sentiment.tracking import mlflow_store, model_versions

    check_output(options.source, options.output, open_reviews(options.source).ending)
    mlflow_store.configure(tracking_uri())
    found = model_versions.get_version(options.name or settings.registry.model_name, options.version)
    rule = model_versions.require_usable(found)
    parse_prior(options.prior, rule.labels)  # before hours of scoring
    with locked(options.output):
        scored = _run(options, settings.model, found)
        scored.drift_page.write_text(scored.drift.html, encoding="utf-8")
    return scored


def _run(options: ScoringOptions, model: ModelSettings, version: ModelVersion) -> ScoredFile:
    """Run the pipeline.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    from zenml.client import Client
    from zenml.exceptions import RunInterruptedException

    from front_door.stack.active import active_stack
    from front_door.stack.files import read_stack
    from pipelines.score_reviews import score_reviews
    from review_sentiment.fingerprints import file_fingerprint
    from review_sentiment.scoring.output_files import drift_page

    try:
        with active_stack(read_stack(DEFAULT_STACK)):
            finished = score_reviews(
                source=str(options.source.resolve()),
                content=file_fingerprint(options.source),
                output=str(options.output),
                name=version.name,
                version=version.version,
                run_id=version.run_id,
                prior=options.prior,
                model=model,
                text_column=options.text_column,
                title_column=options.title_column,
            )
    except RunInterruptedException as error:  # how ZenML reports Ctrl-C in a step
        raise KeyboardInterrupt from error
    steps = Client().get_pipeline_run(finished.id).steps
    result, drift = (steps["answer_file"].outputs[name][0].load() for name in ("answered", "drift"))
    return ScoredFile(result, drift, drift_page(options.output), str(steps["score_file"].status) == "cached")
