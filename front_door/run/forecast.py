"""Which steps a run would take from the cache, without running anything.

ZenML decides this only during a run. This module computes cache keys as ZenML 0.98 does
(`orchestrators/step_run_utils.py`): it compiles the pipeline, and computes each step's key
from the outputs of the steps before it, as long as those are cached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from front_door.run.training_data import TrainingData, measured
from front_door.state import zenml_directory

if TYPE_CHECKING:
    from zenml.config.step_configurations import Step
    from zenml.models import StepRunResponse

    from front_door.run.launch import SourceState
    from review_sentiment.config import Settings

CACHED = "cached"
RUNS = "runs"
DEPENDS = "depends"
"""An earlier step runs: this one is cached if that step produces the same output as before."""
TRAINING_CHATS = "format_chat_train"
"""The step whose output is what the model is trained on."""


@dataclass(frozen=True)
class Forecast:
    """CACHED, RUNS or DEPENDS for each step, in the pipeline's order, and the runs of the cached ones."""

    steps: Mapping[str, str]
    cached: Mapping[str, StepRunResponse] = field(default_factory=dict)

    def training_data(self, settings: Settings) -> TrainingData | None:
        """Return the training reviews if they are cached, or else None."""
        if TRAINING_CHATS not in self.cached:
            return None
        (chats,) = self.cached[TRAINING_CHATS].regular_outputs.values()
        return measured(chats.load(), settings)


def forecast_steps(settings: Settings, source: SourceState, rerun: Sequence[str]) -> Forecast:
    """Return what a run on the active stack would take from the cache."""
    from zenml.client import Client
    from zenml.config.compiler import Compiler
    from zenml.config.pipeline_run_configuration import PipelineRunConfiguration

    from pipelines.review_sentiment import review_sentiment

    prepared = review_sentiment.copy()
    prepared.prepare(settings=settings, available=source.available, revisions=source.revisions)
    compiled = Compiler().compile(prepared, Client().active_stack, PipelineRunConfiguration())
    return _forecasts(compiled.step_configurations, rerun)


def _forecasts(steps: Mapping[str, Step], rerun: Sequence[str]) -> Forecast:
    cached: dict[str, StepRunResponse] = {}
    forecasts: dict[str, str] = {}
    for name, step in steps.items():
        if name in rerun:
            forecasts[name] = RUNS
        elif not set(step.spec.upstream_steps) <= cached.keys():
            forecasts[name] = DEPENDS
        elif earlier := _earlier(_as_stored(step), cached):
            cached[name] = earlier
            forecasts[name] = CACHED
        else:
            forecasts[name] = RUNS
    return Forecast(forecasts, cached)


def cache_exists() -> bool:
    """Return whether ZenML has ever run here; if not, a query would create its database."""
    return zenml_directory().is_dir()


def _as_stored(step: Step) -> Step:
    """Return the step as ZenML has it when it computes the key: read from JSON, with lists for tuples."""
    parameters = json.loads(step.config.model_dump_json(include={"parameters"}))["parameters"]
    return step.model_copy(update={"config": step.config.model_copy(update={"parameters": parameters})})


def _earlier(step: Step, cached: Mapping[str, StepRunResponse]) -> StepRunResponse | None:
    from zenml.client import Client
    from zenml.enums import StepRunInputArtifactType
    from zenml.models.v2.core.step_run import StepRunInputResponse
    from zenml.orchestrators.cache_utils import generate_cache_key, get_cached_step_run

    client = Client()
    inputs = {
        name: [
            StepRunInputResponse(
                input_type=StepRunInputArtifactType.STEP_OUTPUT,
                index=index,
                **cached[source.step_name].regular_outputs[source.output_name].model_dump(),
            )
            for index, source in enumerate(sources)
        ]
        for name, sources in step.spec.normalized_inputs.items()
    }
    key = generate_cache_key(step, inputs, client.active_stack.artifact_store, client.active_project.id)
    return get_cached_step_run(key)
