"""`distill`: a small model that answers like a registered version, as a pipeline of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from front_door.commands.options import CONFIG, JSON, NAME, OVERRIDES, STACK, given_options
from front_door.stack.configs import default_config
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import (
    CollectFromFirstStep,
    redirect_output,
    without_garbage_collection,
)
from review_sentiment.config import ENCODER_ARMS
from review_sentiment.data.labels import scheme_of
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import flat, load_settings

if TYPE_CHECKING:
    from front_door.run.launch import SourceState
    from front_door.stack.files import StackFile
    from pipelines.distill_student import ReviewsFile
    from review_sentiment.config import Settings
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.registry.gate import Verdict
    from review_sentiment.registry.model_card import RegisteredVersion
    from review_sentiment.tracking.model_versions import ModelVersion


@dataclass(frozen=True)
class DistillOptions:
    """What was asked for, under the names that click passes."""

    version: str
    reviews: Path | None
    text_column: str | None
    title_column: str | None
    stack: str
    name: str | None
    config_file: Path | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class RunPlace:
    """Where the pipeline runs, and the command that started it."""

    stack: StackFile
    command: str


@dataclass(frozen=True)
class Distilled:
    """A student as it was registered, the gate's verdict, and the evaluations of both."""

    teacher: str
    registered: RegisteredVersion
    verdict: Verdict
    student_evaluation: Evaluation
    teacher_evaluation: Evaluation

    def as_json(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        both = {"student": self.student_evaluation, "teacher": self.teacher_evaluation}
        return {
            "name": self.registered.name,
            "version": self.registered.version,
            "alias": self.registered.alias,
            "teacher": self.teacher,
            "gate": self.verdict.outcome,
            "reason": self.verdict.reason(),
            "metrics": {
                model: {
                    "accuracy": found.natural.accuracy if found.natural else None,
                    "roc_auc": found.metrics.roc_auc,
                    **({} if found.cost is None else found.cost.figures()),
                }
                for model, found in both.items()
            },
        }

    def as_text(self) -> str:
        """Return the result for the terminal."""
        from front_door.terminal.text_table import columns
        from review_sentiment.evaluation.tradeoff import HEADING, tradeoff_table, tradeoffs_of

        student = replace(self.student_evaluation, model="student")
        rows = tradeoff_table(tradeoffs_of([student, self.teacher_evaluation]))
        found = self.registered
        alias = f" ({found.alias})" if found.alias else ""
        return "\n".join(
            [
                columns([HEADING, *rows]),
                "",
                *(f"{check.name}: {check.measured}; {check.required}" for check in self.verdict.checks),
                f"{found.name} version {found.version}{alias}, student of {self.teacher}. "
                f"{self.verdict.reason()}",
                f"Use it: python run_pipeline.py score INPUT -o OUTPUT --name {found.name} "
                f"--version {found.version}",
            ]
        )


@click.command("distill")
@click.argument("version")
@click.option(
    "--reviews",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file of reviews without labels. Default: reviews that the splits left over.",
)
@click.option("--text-column", help="Column of FILE with the reviews; by default `text`.")
@click.option("--title-column", help="Column of FILE with their titles; by default `title`, if there is one.")
@STACK
@NAME
@CONFIG
@OVERRIDES
@JSON
def distill(as_json: bool, **options: Any) -> None:
    """Train a small model that answers like VERSION (a number or an alias), its teacher.

    The teacher answers reviews without labels, and its probabilities train the student, with the teacher's
    training reviews. The student is evaluated on the teacher's evaluation reviews, compared with it, and
    registered under a name of its own. The settings must be those of the teacher's run; those of the section
    student say what is trained.
    """
    from front_door.run.launch import inspect_source
    from front_door.stack.files import read_stack
    from review_sentiment.data.sources.catalogue import open_source, with_categories
    from review_sentiment.tracking.provenance import command_line

    chosen = DistillOptions(**options)
    if chosen.reviews is None and (chosen.text_column or chosen.title_column):
        raise UsageError("--text-column and --title-column are about a file: give it with --reviews FILE.")
    file, unlabelled = read_stack(chosen.stack), _reviews_file(chosen)
    settings = load_settings(chosen.config_file or default_config(chosen.stack), chosen.overrides)
    settings = with_categories(settings)
    command = command_line(["distill", chosen.version, *given_options(click.get_current_context())])
    log_file = new_log_file()
    click.echo(f"stack {chosen.stack}, log {log_file}", err=True)
    with (
        redirect_output(log_file),
        CollectFromFirstStep().listening(),
        without_garbage_collection(),
    ):
        teacher = _teacher(chosen.name or settings.registry.model_name, chosen.version, settings)
        source = inspect_source(settings, open_source(settings.data))
        found = _run(settings, source, teacher, unlabelled, RunPlace(file, command))
    click.echo(json.dumps(found.as_json()) if as_json else found.as_text())


def _reviews_file(options: DistillOptions) -> ReviewsFile | None:
    from pipelines.distill_student import ReviewsFile
    from review_sentiment.data.files.catalogue import open_reviews
    from review_sentiment.fingerprints import file_fingerprint

    if options.reviews is None:
        return None
    open_reviews(options.reviews)  # which says what is wrong with it, before anything runs
    return ReviewsFile(
        source=str(options.reviews.resolve()),
        content=file_fingerprint(options.reviews),
        text_column=options.text_column,
        title_column=options.title_column,
    )


def _teacher(name: str, version: str, settings: Settings) -> ModelVersion:
    """Return the version, once it is known to be usable with the settings.

    Raises:
        UsageError: it does not exist, or it answers other labels.
        ModelUnavailableError: its files, or its base model, are not available.
    """
    from review_sentiment.tracking import downloads, mlflow_store, model_versions

    mlflow_store.configure(tracking_uri())
    found = model_versions.get_version(name, version)
    if found.name == settings.student.model_name:
        raise UsageError(f"'{found.name}' has the students: set another student.model_name.")
    labels, own = scheme_of(settings.data.labels).names, downloads.require_usable(found).labels
    if labels != own:
        raise UsageError(
            f"Version {found.version} of '{found.name}' answers {', '.join(own)}, and data.labels says "
            f"{', '.join(labels)}. Give the configuration of the version's run (--config, --set)."
        )
    return found


def _run(
    settings: Settings,
    source: SourceState,
    teacher: ModelVersion,
    unlabelled: ReviewsFile | None,
    place: RunPlace,
) -> Distilled:
    """Run the pipeline.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    from zenml.client import Client

    from front_door.run.launch import pin_encoder, pin_model, provenance
    from front_door.stack.active import active_stack
    from pipelines.distill_student import RUN_A_MODEL, Teacher, distill_student

    settings = pin_model(settings)
    if settings.student.kind in ENCODER_ARMS:
        settings = pin_encoder(settings)
    with active_stack(place.stack) as stack:
        gpu = stack.gpu_options
        finished = distill_student.with_options(
            steps={name: gpu for name in RUN_A_MODEL if gpu},
            extra=provenance(place.command, flat(settings)),
            **stack.pipeline_options,
        )(
            settings=settings,
            available=source.available,
            revisions=source.revisions,
            teacher=Teacher(name=teacher.name, version=teacher.version, run_id=teacher.run_id),
            file=unlabelled,
        )
        steps = Client().get_pipeline_run(finished.id).steps

    def output(step: str, name: str) -> Any:
        return steps[step].outputs[name][0].load()

    return Distilled(
        teacher=f"{teacher.name} version {teacher.version}",
        registered=output("register_student", "registered"),
        verdict=output("compare_student", "verdict"),
        student_evaluation=output("evaluate_student", "evaluation"),
        teacher_evaluation=output("compare_student", "teacher"),
    )
