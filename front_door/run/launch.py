"""Start a run, or one step alone, and say how it went."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.step_names import gpu_steps, step_names
from review_sentiment.data.categories import validate_categories
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

    from front_door.stack.used import UsedStack
    from review_sentiment.config import Settings


@dataclass(frozen=True)
class StepResult:
    """How a step ended: `cached`, `completed` or `failed`."""

    status: str
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """A finished run, in the shape that `--json` prints."""

    pipeline_run: str
    status: str
    stack: str
    seconds: float
    steps: Mapping[str, StepResult] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    mlflow: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceState:
    """The categories that a source has, and the state of the data of the chosen ones."""

    available: tuple[str, ...]
    revisions: Mapping[str, str]


def look_at_source(settings: Settings) -> SourceState:
    """Return the state of the data; wrong names are refused here, before anything runs.

    Raises:
        UsageError: a category is unknown, or the source does not exist.
    """
    source = open_source(settings.data.source)
    categories = validate_categories(settings.data.categories, source.categories(), source.name)
    revisions = {category: source.revision(category) for category in categories}
    return SourceState(source.categories(), revisions)


def run(
    settings: Settings, source: SourceState, stack: UsedStack, rerun: Sequence[str], command: str
) -> RunResult:
    """Run the pipeline; the cache of the steps in `rerun` is ignored. `command` is kept with the run."""
    from pipelines.review_sentiment import review_sentiment

    started = time.monotonic()
    again = {name: {"enable_cache": False} for name in rerun}
    on_gpu = dict.fromkeys(gpu_steps(settings), stack.gpu_options)
    options = {name: on_gpu.get(name, {}) | again.get(name, {}) for name in step_names(settings)}
    configured = review_sentiment.with_options(
        steps={name: own for name, own in options.items() if own},
        extra=_provenance(command),
        **stack.pipeline_options,
    )
    finished = configured(settings=settings, available=source.available, revisions=source.revisions)
    return _result(finished, stack.name, time.monotonic() - started)


def run_only(settings: Settings, stack: UsedStack, step: str, command: str) -> RunResult:
    """Run one step alone on the inputs of the latest run that has them; its cache is ignored.

    Its parameters come from the present settings.

    Raises:
        ReviewSentimentError: no run of the pipeline has the inputs.
    """
    from zenml import ExternalArtifact, pipeline
    from zenml.enums import ExecutionMode

    earlier = _latest(step)
    function = _step_function(earlier)
    if step in gpu_steps(settings) and stack.gpu_options:
        function = function.with_options(**stack.gpu_options)
    parameters = {name: getattr(settings, name, value) for name, value in earlier.config.parameters.items()}
    # ZenML (0.98) takes one artifact of an earlier run as an input, but no list of them.
    inputs = {
        name: (
            ExternalArtifact(value=[artifact.load() for artifact in artifacts])
            if name in _list_inputs(function)
            else artifacts[0]
        )
        for name, artifacts in earlier.regular_inputs.items()
        if name not in parameters
    }

    @pipeline(  # type: ignore[untyped-decorator]
        name="review_sentiment_only",
        enable_cache=False,
        execution_mode=ExecutionMode.FAIL_FAST,
        extra=_provenance(command),
        **stack.pipeline_options,
    )
    def only() -> None:
        function(**inputs, **parameters, id=step)

    started = time.monotonic()
    return _result(only(), stack.name, time.monotonic() - started)


def _provenance(command: str) -> dict[str, str]:
    """Return what steps are told of where the run comes from; it is no part of their cache keys."""
    from review_sentiment.tracking.provenance import COMMAND, SOURCE_COMMIT, source_commit

    return {SOURCE_COMMIT: source_commit(), COMMAND: command}


def _latest(step: str) -> StepRunResponse:
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


def _step_function(earlier: StepRunResponse) -> Any:
    from zenml.utils import source_utils

    return source_utils.load(earlier.spec.source)


def _list_inputs(function: Any) -> set[str]:
    hints = function.entrypoint.__annotations__
    return {name for name, hint in hints.items() if getattr(hint, "__origin__", hint) is list}


def _result(finished: PipelineRunResponse | None, stack: str, seconds: float) -> RunResult:
    from zenml.client import Client

    if finished is None:
        raise ReviewSentimentError("The stack runs pipelines in the background; see its dashboard.")
    latest = Client().get_pipeline_run(finished.id)
    steps = {
        name: StepResult(str(step.status), _seconds(step))
        for name, step in sorted(latest.steps.items(), key=lambda item: item[1].created)
    }
    return RunResult(
        pipeline_run=latest.name,
        status=str(latest.status),
        stack=stack,
        seconds=round(seconds, 1),
        steps=steps,
        metrics=_metrics(latest.steps),
        **_registered(latest.steps),
    )


def _seconds(step: StepRunResponse) -> float:
    if str(step.status) == "cached" or not step.start_time or not step.end_time:
        return 0.0
    return round(float((step.end_time - step.start_time).total_seconds()), 1)


def _metrics(steps: Mapping[str, StepRunResponse]) -> dict[str, dict[str, float]]:
    """Read the headline figures from the artifacts' metadata: nothing is loaded."""
    figures = {}
    for step, name in (
        ("evaluate_baseline", "baseline"),
        ("evaluate", "tuned"),
        ("evaluate_classical", "classical"),
    ):
        if step in steps and name in steps[step].outputs:
            metadata = steps[step].outputs[name][0].run_metadata
            figures[name] = {key: float(value) for key, value in metadata.items() if key != "storage_size"}
    return figures


def _registered(steps: Mapping[str, StepRunResponse]) -> dict[str, dict[str, Any]]:
    """Return model and MLflow run of the registered version, where the run has one.

    Raises:
        TrackingError: everything came from the cache, but MLflow no longer has the version.
    """
    if "register_model" not in steps or "registered" not in steps["register_model"].outputs:
        return {}
    from review_sentiment.tracking import candidate, model_versions

    record = steps["register_model"].outputs["registered"][0].load()
    candidate.require_run(record.run_id)
    present = next(
        (v for v in model_versions.list_versions(record.name) if v.version == record.version), None
    )
    return {
        "model": {
            "name": record.name,
            "version": record.version,
            "aliases": list(present.aliases) if present else [],
            "uri": record.uri,
        },
        "mlflow": {
            "tracking_uri": record.tracking_uri,
            "experiment": record.experiment,
            "run_id": record.run_id,
        },
    }
