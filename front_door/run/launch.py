"""Runs the pipeline, or one of its steps alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.step_names import gpu_steps, step_names
from review_sentiment.data.categories import validate_categories
from review_sentiment.data.sources.catalogue import with_categories
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.settings_files import flat

if TYPE_CHECKING:
    from zenml.config.schedule import Schedule
    from zenml.models import PipelineRunResponse, StepRunResponse

    from front_door.stack.active import ActiveStack
    from review_sentiment.config import Settings
    from review_sentiment.data.sources.source import ReviewSource

RUN_NAME = "REVIEW_SENTIMENT_RUN_NAME"
"""Variable with the name of the run that a process is to start, for those who start and follow it."""
STARTED_FROM = "REVIEW_SENTIMENT_STARTED_FROM"
"""Variable with what starts a run, if it is not a user's command line: `dashboard` or `notebook`."""
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class SourceState:
    """An open source, all its categories, and the revision of the data of each chosen one."""

    reviews: ReviewSource
    available: tuple[str, ...]
    revisions: Mapping[str, str]


def inspect_source(settings: Settings, source: ReviewSource) -> SourceState:
    """Return the state of the data in the source of the settings, before anything runs.

    Raises:
        UsageError: a category is unknown, or the source does not exist.
    """
    settings = with_categories(settings, source)
    source.require_columns(("time",) if settings.needs_time else ())
    categories = validate_categories(settings.data.categories, source.categories(), source.name)
    revisions = {category: source.revision(category) for category in categories}
    return SourceState(source, source.categories(), revisions)


def pin_model(settings: Settings) -> Settings:
    """Return the settings with the revisions of the models that the run uses.

    Raises:
        ModelUnavailableError: a model is not available.
    """
    from review_sentiment.models.access import pinned

    settings = settings.model_copy(update={"model": pinned(settings.model)})
    return pin_encoder(settings) if settings.arms.needs_encoder else settings


def pin_encoder(settings: Settings) -> Settings:
    """Return the settings with the revision of the encoder.

    Raises:
        ModelUnavailableError: it is not available.
    """
    from review_sentiment.arms.encoder_source import identify_encoder

    encoder = identify_encoder(settings.arms.encoder, settings.arms.encoder_revision)
    arms = settings.arms.model_copy(update={"encoder_revision": encoder.revision})
    return settings.model_copy(update={"arms": arms})


@dataclass(frozen=True)
class Launch:
    """How a run is identified: its name in ZenML, and the command that is stored with it."""

    name: str
    command: str


def new_launch(command: str) -> Launch:
    """Return a launch with a new name, so that the run can be found even if its start is interrupted.

    A name from `RUN_NAME` is used once: a process that this one starts does not inherit it.
    """
    return Launch(os.environ.pop(RUN_NAME, "") or new_name(), command)


def new_name() -> str:
    """Return a name for a run in ZenML."""
    return f"review_sentiment-{datetime.now():%Y_%m_%d-%H_%M_%S_%f}"


def run(
    settings: Settings, source: SourceState, stack: ActiveStack, rerun: Sequence[str], launch: Launch
) -> PipelineRunResponse:
    """Run the pipeline, ignoring the cache of the steps in `rerun`; on a cluster, only start it."""
    started: PipelineRunResponse = _configured(settings, stack, rerun, launch)(
        settings=settings, available=source.available, revisions=source.revisions
    )
    return started


def repeat(
    settings: Settings,
    source: SourceState,
    stack: ActiveStack,
    rerun: Sequence[str],
    launch: Launch,
    schedule: Schedule,
) -> None:
    """Let the stack's cluster repeat the pipeline with these settings; `launch.name` is a template."""
    _configured(settings, stack, rerun, launch).with_options(schedule=schedule)(
        settings=settings, available=source.available, revisions=source.revisions
    )


def _configured(settings: Settings, stack: ActiveStack, rerun: Sequence[str], launch: Launch) -> Any:
    from pipelines.review_sentiment import review_sentiment

    options: dict[str, dict[str, Any]] = {name: {} for name in step_names(settings)}
    for name in gpu_steps(settings):
        options[name] |= stack.gpu_options
    for name in rerun:
        options[name] |= {"enable_cache": False}
    return review_sentiment.with_options(
        steps={name: own for name, own in options.items() if own},
        extra=provenance(launch.command, flat(settings)),
        run_name=launch.name,
        **stack.pipeline_options,
    )


def run_only(
    settings: Settings, source: SourceState, stack: ActiveStack, step: str, launch: Launch
) -> PipelineRunResponse:
    """Run one step, ignoring its cache, with these settings, on the inputs of the latest run that has them.

    On a cluster, only start it.

    Raises:
        ReviewSentimentError: no run of the pipeline has the inputs.
    """
    from zenml import pipeline
    from zenml.enums import ExecutionMode
    from zenml.utils import source_utils

    earlier = _latest(step)
    function = source_utils.load(earlier.spec.source)
    if step in gpu_steps(settings) and stack.gpu_options:
        function = function.with_options(**stack.gpu_options)
    # A step takes sections, settings of the section `data`, and what follows from the settings.
    parameters = {
        name: getattr(settings, name, getattr(settings.data, name, value))
        for name, value in earlier.config.parameters.items()
    }
    if "revision" in parameters:
        parameters["revision"] = source.revisions[parameters["category"]]
    given = {key: value for key, value in flat(settings).items() if key.split(".")[0] in parameters}
    inputs = _inputs(earlier, function, exclude=parameters)

    @pipeline(  # type: ignore[untyped-decorator]
        name="review_sentiment_only",
        enable_cache=False,
        execution_mode=ExecutionMode.FAIL_FAST,
        extra=provenance(launch.command, _settings_of(earlier) | given),
        **stack.pipeline_options,
    )
    def only() -> None:
        function(**inputs, **parameters, id=step)

    started: PipelineRunResponse = only.with_options(run_name=launch.name)()
    return started


def provenance(command: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the steps may know about the run's origin; it is not part of their cache keys."""
    from review_sentiment.tracking.provenance import (
        COMMAND,
        ORIGIN,
        SETTINGS,
        SOURCE_COMMIT,
        source_commit,
        without_secrets,
    )

    values = {name: without_secrets(str(value)) for name, value in settings.items()}
    origin = os.environ.get(STARTED_FROM, COMMAND_LINE)
    return {SOURCE_COMMIT: source_commit(), COMMAND: command, ORIGIN: origin, SETTINGS: values}


def _settings_of(step: StepRunResponse) -> dict[str, str]:
    """Return the settings of a step's run, which its inputs were made with."""
    from zenml.client import Client

    from review_sentiment.tracking.provenance import SETTINGS

    return dict(Client().get_pipeline_run(step.pipeline_run_id).config.extra.get(SETTINGS, {}))


def _latest(step: str) -> StepRunResponse:
    """Return the step's latest finished execution in a run of the pipeline."""
    from zenml.client import Client

    from pipelines.review_sentiment import NAME

    client = Client()
    for candidate in client.list_pipeline_runs(pipeline=NAME, sort_by="desc:created", size=20):
        found = client.list_run_steps(pipeline_run_id=candidate.id, name=step, hydrate=True)
        if found.items and found.items[0].status.is_finished:
            return found.items[0]
    raise ReviewSentimentError(
        f"--only {step}: no earlier run has this step, so there are no inputs for it. "
        "Run the pipeline once without --only."
    )


def _inputs(earlier: StepRunResponse, function: Any, exclude: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of an earlier execution of a step.

    ZenML (0.98) accepts an artifact of an earlier run as an input, but not a list of them: those are loaded.
    """
    from zenml import ExternalArtifact

    hints = function.entrypoint.__annotations__
    lists = {name for name, hint in hints.items() if getattr(hint, "__origin__", hint) is list}
    return {
        name: ExternalArtifact(value=[artifact.load() for artifact in artifacts])
        if name in lists
        else artifacts[0]
        for name, artifacts in earlier.regular_inputs.items()
        if name not in exclude
    }
