"""`score`: a file of reviews in, the same rows with labels out, as a pipeline of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from front_door.commands.options import CONFIG, JSON, NAME, OVERRIDES
from front_door.commands.scored_file import ScoredFile
from front_door.stack.configs import DEFAULT_STACK, default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import (
    CollectFromFirstStep,
    redirect_output,
    without_garbage_collection,
)
from review_sentiment.decision.prior_choice import VERSION, parse_prior
from review_sentiment.errors import EXIT_FAILED, UsageError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from review_sentiment.config import ModelSettings, Settings
    from review_sentiment.registry.student_choice import Combined, StudentChoice
    from review_sentiment.tracking.model_versions import ModelVersion

RAY = "ray"
MAX_LOSS = 0.005
"""Accuracy that a cascade may lose, as a fraction of all reviews, unless --max-loss says otherwise."""


@dataclass(frozen=True)
class ScoringOptions:
    """The files and the version, under the names that click passes."""

    source: str
    output: Path
    engine: str
    address: str | None
    version: str
    prior: str
    text_column: str | None
    title_column: str | None
    cascade: bool
    ensemble: bool
    student: str | None
    student_name: str | None
    max_loss: float | None
    name: str | None
    config_file: Path | None
    overrides: tuple[str, ...]

    @property
    def absolute_source(self) -> str:
        """Return the input as every process finds it."""
        return self.source if "://" in self.source else str(Path(self.source).resolve())

    def check_files(self) -> None:
        """Check the input, the output and the engine before anything is run.

        Raises:
            UsageError: one of them cannot be used.
            DataError: the input cannot be read.
        """
        from review_sentiment.data.files.catalogue import open_reviews
        from review_sentiment.scoring.file_set import check_inputs
        from review_sentiment.scoring.output_files import check_output
        from review_sentiment.scoring.ray_cluster import require_ray

        if self.engine == RAY:
            require_ray(self.address)
            check_inputs(self.source, self.output)
            return
        if self.address is not None:
            raise UsageError("--address is that of a Ray cluster: add --engine ray.")
        source = Path(self.source)
        check_output(source, self.output, open_reviews(source).ending)

    def student_choice(self, settings: Settings) -> StudentChoice | None:
        """Return how a student answers too and which one, or None.

        Raises:
            UsageError: the options contradict each other.
        """
        from review_sentiment.registry.student_choice import StudentChoice

        if self.cascade and self.ensemble:
            raise UsageError("--cascade and --ensemble cannot both be given: choose one.")
        if self.max_loss is not None and not self.cascade:
            raise UsageError("--max-loss is an option of --cascade: give that too.")
        if not (self.cascade or self.ensemble):
            if self.student or self.student_name:
                raise UsageError("A student answers only with --cascade or --ensemble: give one of them.")
            return None
        return StudentChoice(
            together="cascade" if self.cascade else "ensemble",
            name=self.student_name or settings.student.model_name,
            version=self.student,
            max_loss=MAX_LOSS if self.max_loss is None else self.max_loss,
        )


@click.command("score")
@click.argument("source", metavar="INPUT")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A file of the same format; a directory with --engine ray.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", RAY]),
    default="local",
    show_default=True,
    help="Score one file in this process, or many files in parallel on Ray.",
)
@click.option("--address", help="Ray cluster, such as ray://HOST:10001. Default: Ray on this machine.")
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
@click.option(
    "--cascade",
    is_flag=True,
    help="A student answers what it is sure of, the version the other reviews.",
)
@click.option(
    "--ensemble", is_flag=True, help="The version and its student answer each review together, by their mean."
)
@click.option(
    "--student", help="Student, by number or alias. Default: the champion among the version's, or the newest."
)
@click.option(
    "--student-name", help="Registered model of the students. Default: the setting student.model_name."
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 1),
    help=f"Accuracy that --cascade may lose, as a fraction of all reviews. Default: {MAX_LOSS}.",
)
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

    With --engine ray, INPUT may also be a directory, a quoted pattern or a prefix such as s3://bucket/reviews,
    and OUTPUT is a directory with an output and its lists for each file.
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
        UsageError: the file, the output, the version, its student or the prior cannot be used.
        DataError: the file cannot be read.
        TrackingError: MLflow cannot be reached.
        ModelUnavailableError: the base model is not the one that the version was trained on.
    """
    from review_sentiment.registry.student_choice import combine
    from review_sentiment.scoring.output_files import locked
    from review_sentiment.tracking import downloads, mlflow_store, model_versions

    choice = options.student_choice(settings)
    options.check_files()
    mlflow_store.configure(tracking_uri())
    found = model_versions.get_version(options.name or settings.registry.model_name, options.version)
    rule = downloads.require_usable(found)
    parse_prior(options.prior, rule.labels)  # before hours of scoring
    combined = combine(found, rule, choice) if choice else None
    with locked(options.output):
        scored = _run(options, settings.model, found, combined)
        scored.drift_page.write_text(scored.drift.html, encoding="utf-8")
    return scored


def _run(
    options: ScoringOptions, model: ModelSettings, version: ModelVersion, combined: Combined | None
) -> ScoredFile:
    """Run the pipeline.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    from zenml.client import Client

    from front_door.stack.active import active_stack
    from front_door.stack.files import read_stack
    from pipelines.score_files import score_files
    from pipelines.score_reviews import score_reviews
    from review_sentiment.arms.scoring_request import ScoringRequest
    from review_sentiment.fingerprints import file_fingerprint
    from review_sentiment.scoring.output_files import drift_page

    request = ScoringRequest(
        source=options.absolute_source,
        output=str(options.output),
        name=version.name,
        version=version.version,
        run_id=version.run_id,
        model=model,
        text_column=options.text_column,
        title_column=options.title_column,
        combination=combined.combination if combined else None,
    )
    with active_stack(read_stack(DEFAULT_STACK)):
        if options.engine == RAY:
            finished = score_files(request=request, prior=options.prior, address=options.address)
        else:
            content = file_fingerprint(Path(options.source))
            finished = score_reviews(request=request, content=content, prior=options.prior)
    steps = Client().get_pipeline_run(finished.id).steps
    answered = steps["score_files" if options.engine == RAY else "answer_file"]
    result, drift = (answered.outputs[name][0].load() for name in ("answered", "drift"))
    cached = options.engine != RAY and str(steps["score_file"].status) == "cached"
    return ScoredFile(result, drift, drift_page(options.output), cached, combined)
