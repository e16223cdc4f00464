"""Stops a run on a cluster: its pods get the time to write a checkpoint, and nothing of it is left there."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from front_door.cluster.pods import (
    ORCHESTRATOR,
    Cluster,
    ClusterError,
    cluster_of,
    connection_errors,
    is_active,
    step_of,
)
from review_sentiment.errors import first_line

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

SECONDS_TO_STOP = 240.0
"""A training has 120 s for its checkpoint (`operators/step_end.py`); its node then removes the pod."""
SECONDS_FOR_ORCHESTRATOR = 30.0
"""It ends by itself, once it has seen that the run stops; process 1 of a container ignores SIGTERM."""
SECONDS_BETWEEN_POLLS = 1.0

logger = logging.getLogger("review_sentiment.cluster")


@contextmanager
def stops_with_this_process(name: str) -> Iterator[None]:
    """Stop the run of this name if Ctrl-C or SIGTERM ends the block.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        SystemExit: the process received SIGTERM; the exit code is 128 + 15, as in a shell.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        stop_by_name(name)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_by_name(name: str) -> None:
    """Stop a run if there is one of this name: a run that is interrupted early was not created.

    Raises:
        ClusterError: something of it is left.
    """
    from zenml.client import Client

    found = Client().list_pipeline_runs(name=name, hydrate=True).items
    if found and (cluster := cluster_of(found[0])):
        stop(found[0], cluster)


def stop(run: PipelineRunResponse, cluster: Cluster) -> None:
    """Stop a run, wait until its pods have ended, and remove its jobs and the secret with its token.

    Raises:
        ClusterError: something of it is left.
    """
    logger.warning("Stopping the run %s: a training writes a checkpoint first", run.name)
    try:
        _mark(run, "stopping")
        _remove(run, cluster)
        _mark(run, "stopped")
    except connection_errors() as error:
        raise ClusterError(
            f"The run {run.name} could not be stopped: {first_line(error)}. Try again: "
            f"python run_pipeline.py attach {run.name} --stop"
        ) from error
    logger.info("Stopped the run %s. Nothing of it is left in the cluster", run.name)


def _remove(run: PipelineRunResponse, cluster: Cluster) -> None:
    """Delete the jobs of the steps, then that of the orchestrator, which starts no more steps."""
    run_id, started = str(run.id), time.monotonic()
    while True:
        jobs, pods = cluster.jobs(run_id), cluster.pods(run_id)
        if not jobs and not pods:
            break
        waited = time.monotonic() - started
        if waited > SECONDS_TO_STOP:
            left = ", ".join(sorted(item.metadata.name for item in (*jobs, *pods)))
            raise ClusterError(
                f"The run {run.name} is stopped, but {left} did not end within {SECONDS_TO_STOP:.0f} s. "
                f"Look at them: kubectl --namespace {cluster.namespace} describe pods -l run_id={run_id}"
            )
        orchestrates = any(is_active(pod) for pod in pods if step_of(pod) == ORCHESTRATOR)
        for job in jobs:
            is_last = step_of(job) == ORCHESTRATOR
            if job.metadata.deletion_timestamp or (
                is_last and orchestrates and waited < SECONDS_FOR_ORCHESTRATOR
            ):
                continue
            cluster.delete_job(job)
        time.sleep(SECONDS_BETWEEN_POLLS)
    if run.snapshot:
        cluster.delete_token(run.snapshot.id)


def _mark(run: PipelineRunResponse, status: str) -> None:
    """Set the status of a run that has not ended: then its orchestrator and its pods know that it stops."""
    from zenml.client import Client
    from zenml.enums import ExecutionStatus
    from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update

    if not Client().get_pipeline_run(run.id, hydrate=False).status.is_finished:
        publish_pipeline_run_status_update(run.id, ExecutionStatus(status), "Stopped by its user.")
