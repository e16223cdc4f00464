"""The result of a finished run, read from ZenML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

EVALUATIONS = {"evaluate_baseline": "baseline", "fit_decision": "tuned"}
"""Each evaluation step, and the output that has its metrics."""
ARM_STEP, ARM = "evaluate_arm_", "arm"
"""The start of the names of the steps that evaluate an arm, and their output."""


@dataclass(frozen=True)
class StepResult:
    """How a step ended: `cached`, `completed` or `failed`."""

    status: str
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """A finished run; `--json` prints these fields.

    `seconds` is the time since its process started. `outputs` has the page or directory of each output of a
    step that ran alone.
    """

    pipeline_run: str
    status: str
    stack: str
    seconds: float = 0.0
    steps: Mapping[str, StepResult] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    mlflow: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def read_result(run: PipelineRunResponse, stack: str) -> RunResult:
    """Return the result of a pipeline run, finished or not, without its `seconds`.

    Raises:
        TrackingError: everything came from the cache, but MLflow no longer has the version.
    """
    from zenml.client import Client

    latest = Client().get_pipeline_run(run.id)
    steps = dict(sorted(latest.steps.items(), key=lambda item: item[1].created))
    return RunResult(
        pipeline_run=latest.name,
        status=str(latest.status),
        stack=stack,
        steps={name: StepResult(str(step.status), _seconds(step)) for name, step in steps.items()},
        metrics=_metrics(steps),
        outputs=_outputs(*steps.values()) if len(steps) == 1 else {},
        **_registered(steps),
    )


def _seconds(step: StepRunResponse) -> float:
    if str(step.status) == "cached" or not step.start_time or not step.end_time:
        return 0.0
    return round(float((step.end_time - step.start_time).total_seconds()), 1)


def _outputs(step: StepRunResponse) -> dict[str, str]:
    """Return the page of each output, if it has one, or its directory."""
    found = {name: artifacts[0] for name, artifacts in step.outputs.items()}
    return {
        name: artifact.visualizations[0].uri if artifact.visualizations else artifact.uri
        for name, artifact in found.items()
    }


def _metrics(steps: Mapping[str, StepRunResponse]) -> dict[str, dict[str, Any]]:
    """Read the headline metrics from the artifacts' metadata, without loading the artifacts."""
    metrics = {}
    arms = {step: (step.removeprefix(ARM_STEP), ARM) for step in steps if step.startswith(ARM_STEP)}
    for step, (name, output) in ({step: (name, name) for step, name in EVALUATIONS.items()} | arms).items():
        if step in steps and output in steps[step].outputs:
            metadata = steps[step].outputs[output][0].run_metadata
            metrics[name] = {
                key: value if isinstance(value, dict) else float(value)
                for key, value in metadata.items()
                if key != "storage_size"
            }
    return metrics


def _registered(steps: Mapping[str, StepRunResponse]) -> dict[str, Any]:
    """Return the fields `model` and `mlflow` of the version that the run registered, if any."""
    if "register_model" not in steps or "registered" not in steps["register_model"].outputs:
        return {}
    from review_sentiment.tracking import candidate, evaluation_run, evidence, model_versions

    record = steps["register_model"].outputs["registered"][0].load()
    candidate.require_run(record.run_id)
    version = model_versions.get_version(record.name, record.version)
    evaluation_run.require_evaluation_run(version.evaluation_run)
    checks = evidence.gate_of(version)["checks"]
    return {
        "model": {
            "name": version.name,
            "version": version.version,
            "aliases": list(version.aliases),
            "uri": version.uri,
            "gate": version.tags["gate"],
            "gate_reason": version.tags["gate.reason"],
            "failed_checks": [check for check in checks if not check["passed"]],
            "warnings": list(version.warnings),
        },
        "mlflow": {
            "tracking_uri": record.tracking_uri,
            "experiment": record.experiment,
            "run_id": record.run_id,
            "evaluation_run_id": version.evaluation_run,
        },
    }
