"""Follows a run on a cluster until it ends: its steps, its pods' logs, and what they wait for.

ZenML's server has the steps and their results; the Kubernetes API has why a pod does not start, what it
prints, and how it was ended. Following does not change a run, so that it can be done again at any time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from front_door.cluster.pod_end import PodEnd, end_of
from front_door.cluster.pod_log import POD_LOGS, PodLog
from front_door.cluster.pods import (
    FORBIDDEN,
    JOB_LABEL,
    ORCHESTRATOR,
    STEP_RUN_LABEL,
    Cluster,
    ClusterError,
    connection_errors,
    is_active,
    is_finished,
    step_of,
)
from front_door.cluster.waiting import Waiting, new_lines, waits_of_job, waits_of_pod
from front_door.terminal.run_handler import StepStatus, log_step
from review_sentiment.errors import ReviewSentimentError, first_line

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse, StepRunResponse

SECONDS_BETWEEN_POLLS = 3.0
SECONDS_WITHOUT_CLUSTER = 600.0
"""Time after which we give up on a cluster that does not respond; the run goes on there."""
SECONDS_TO_REPORT = 30.0
"""Time that ZenML's server has to know the end of a run whose orchestrator has ended."""
SECONDS_TO_START = 600.0
"""Time that another command has to create the orchestrator's job of a run that it has registered."""
SHOWN: Mapping[str, StepStatus] = {
    "cached": "cached",
    "running": "running",
    "completed": "completed",
    "failed": "failed",
    "stopped": "interrupted",
}
"""ZenML's statuses of a step that are shown, and ours."""

logger = logging.getLogger("review_sentiment.cluster")


class RunFailedError(ReviewSentimentError):
    """A run on a cluster failed, or was stopped."""


class RunView:
    """What has been shown of a run."""

    def __init__(self, cluster: Cluster, run_id: UUID) -> None:
        self._cluster = cluster
        self._run_id = run_id
        self._statuses: dict[str, str] = {}
        self._waits: dict[str, Waiting] = {}
        self._logs: dict[str, PodLog] = {}
        self._ended: set[str] = set()
        self._ends: dict[tuple[str, bool], PodEnd] = {}
        """How the last failed pods of each step ended: that on the GPU (True), and that which started it."""

    def show(self) -> bool:
        """Show what is new, and return whether the orchestrator has ended."""
        jobs, pods = self._cluster.jobs(str(self._run_id)), self._cluster.pods(str(self._run_id))
        self._show_steps()
        for pod in pods:
            self._logs.setdefault(pod.metadata.name, PodLog(step_of(pod))).show(self._cluster, pod)
        for pod in pods:
            ends = pod.status.phase == "Failed" or (is_active(pod) and pod.metadata.deletion_timestamp)
            if ends and pod.metadata.name not in self._ended:
                self._ended.add(pod.metadata.name)
                self._show_end(pod)
        waits = self._waiting(jobs, pods)
        for line in new_lines(waits, self._waits):
            logger.warning(line)
        self._waits = waits
        return all(is_finished(job) for job in jobs if step_of(job) == ORCHESTRATOR)

    def _show_steps(self) -> None:
        for step in _steps(self._run_id):
            status = SHOWN.get(str(step.status))
            if status and self._statuses.get(step.name) != status:
                self._statuses[step.name] = status
                log_step(step.name, status, _seconds(step))

    def end_of(self, step: str) -> PodEnd | None:
        """Return how the last failed pod of a step ended; one that was killed explains that of the other."""
        ends = [self._ends[key] for key in ((step, True), (step, False)) if key in self._ends]
        return next((end for end in ends if end.killed), ends[0] if ends else None)

    def _show_end(self, pod: Any) -> None:
        step, on_gpu = step_of(pod), STEP_RUN_LABEL in pod.metadata.labels
        end = self._ends[step, on_gpu] = end_of(pod, self._logs[pod.metadata.name].last)
        logger.warning("%s: %s", step, end.text)

    def _waiting(self, jobs: Sequence[Any], pods: Sequence[Any]) -> dict[str, Waiting]:
        """Return what each step waits for whose pod has not started."""
        waits = {}
        for job in jobs:
            own = [pod for pod in pods if pod.metadata.labels.get(JOB_LABEL) == job.metadata.name]
            if not own and not is_finished(job):
                waits[step_of(job)] = waits_of_job(self._cluster.events(job.metadata.uid))
        for pod in pods:
            if pod.status.phase == "Pending" and is_active(pod):
                waits[step_of(pod)] = waits_of_pod(pod, self._cluster.events(pod.metadata.uid))
        return {step: found for step, found in waits.items() if found}


def follow(run: PipelineRunResponse, cluster: Cluster) -> PipelineRunResponse:
    """Show a run until it ends, and return it if it completed.

    Raises:
        RunFailedError: it failed or was stopped; the message says which step, how, and what to do.
        ClusterError: the cluster refuses a request, or has not responded for ten minutes.
    """
    from zenml.client import Client

    view, responded, ended_at = RunView(cluster, run.id), time.monotonic(), None
    while True:
        try:
            if view.show():
                ended_at = ended_at or time.monotonic()
                latest = Client().get_pipeline_run(run.id)
                if latest.status.is_finished:
                    _delete_active_jobs(cluster, str(run.id))
                    return _require_completed(latest, view)
                is_new = str(latest.status) == "initializing"
                if time.monotonic() - ended_at > (SECONDS_TO_START if is_new else SECONDS_TO_REPORT):
                    raise _lost(latest, view)
            responded = time.monotonic()
        except connection_errors() as error:
            _raise_if_final(error, cluster, run.name, time.monotonic() - responded)
        time.sleep(SECONDS_BETWEEN_POLLS)


def _delete_active_jobs(cluster: Cluster, run_id: str) -> None:
    """Delete what a failed run has left: ZenML (0.98) stops only one of the two jobs of a GPU step."""
    for job in cluster.jobs(run_id):
        if not is_finished(job):
            cluster.delete_job(job)


def _raise_if_final(error: Exception, cluster: Cluster, run: str, seconds: float) -> None:
    if getattr(error, "status", None) in (401, FORBIDDEN):
        raise ClusterError(
            f"Your user may not follow runs in the namespace {cluster.namespace} "
            f"({getattr(error, 'reason', error)}): it must list jobs, pods and events, and read logs. The "
            f"run goes on there. Get these rights, then: python run_pipeline.py attach {run}"
        ) from error
    if seconds > SECONDS_WITHOUT_CLUSTER:
        raise ClusterError(
            f"The cluster has not responded for {SECONDS_WITHOUT_CLUSTER / 60:.0f} minutes "
            f"({first_line(error)}). The run goes on there: python run_pipeline.py attach {run}"
        ) from error
    POD_LOGS.info("The cluster did not respond: %s", first_line(error))


def _require_completed(run: PipelineRunResponse, view: RunView) -> PipelineRunResponse:
    if run.status.is_successful:
        return run
    if str(run.status) == "stopped":
        raise RunFailedError(f"The run {run.name} was stopped. Finished steps are kept in the cache.")
    failed = [step for step in _steps(run.id) if str(step.status) == "failed"]
    if not failed:
        end = view.end_of(ORCHESTRATOR)
        raise RunFailedError(
            f"The run {run.name} failed: {end.text if end else 'none of its steps did'}. Finished steps are "
            "kept in the cache."
        )
    raise RunFailedError(f"Step {failed[0].name} failed: {_reason(failed[0], view)}")


def _reason(step: StepRunResponse, view: RunView) -> str:
    """Return how a pod of the step was killed, or the error that the step raised."""
    from zenml.client import Client

    end = view.end_of(step.name)
    if end and end.killed:
        return f"{end.text}. The next run resumes from the checkpoint."
    raised = Client().get_run_step(step.id).exception_info
    if raised and raised.message:
        return str(raised.message)
    return f"{end.text if end else 'it has left no message'}."


def _lost(run: PipelineRunResponse, view: RunView) -> RunFailedError:
    """Mark a run as failed whose orchestrator ended without reporting a result, and return the error."""
    from zenml.orchestrators.publish_utils import publish_failed_pipeline_run

    publish_failed_pipeline_run(run.id)
    end = view.end_of(ORCHESTRATOR)
    return RunFailedError(
        f"The run {run.name} ended without a result: "
        f"{end.text if end else 'its orchestrator stopped or was deleted'}. Start it again: finished steps "
        "are in the cache, and training resumes from its checkpoint."
    )


def _steps(run_id: UUID) -> list[StepRunResponse]:
    """Return the steps of a run, the latest attempt of each, in the order in which they started."""
    from zenml.client import Client

    found = Client().list_run_steps(pipeline_run_id=run_id, sort_by="asc:created", size=500)
    return list({step.name: step for step in found.items}.values())


def _seconds(step: StepRunResponse) -> float:
    if not step.start_time or not step.end_time:
        return 0.0
    return float((step.end_time - step.start_time).total_seconds())
