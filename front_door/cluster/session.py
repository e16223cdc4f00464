"""The part of a command that concerns a run on a cluster: start it, follow it, and name those that go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from front_door.cluster.follow import follow
from front_door.cluster.pods import cluster_of
from front_door.cluster.stop import stops_with_this_process
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

logger = logging.getLogger("review_sentiment.cluster")


def name_unfinished() -> None:
    """Name the runs of the active stack that have not ended: their command was detached or killed."""
    from zenml.client import Client

    client = Client()
    for run in client.list_pipeline_runs(stack=client.active_stack_model.id, size=100).items:
        if not run.status.is_finished:
            logger.warning(
                "The run %s has not ended. Follow it: python run_pipeline.py attach %s", run.name, run.name
            )


def on_cluster(start: Callable[[], PipelineRunResponse], name: str, detach: bool) -> PipelineRunResponse:
    """Start a run of this name and, unless it is detached, follow it until it ends; return it.

    Raises:
        ReviewSentimentError: it could not be started, failed, or can no longer be followed.
        KeyboardInterrupt: Ctrl-C was pressed; the run is stopped.
    """
    with stops_with_this_process(name):
        run = start()
        if detach:
            return run
        logger.info("The run is %s. If this process is killed, follow it: attach %s", name, name)
        cluster = cluster_of(run)
        if cluster is None:
            raise ReviewSentimentError(f"The run {name} has no stack any more, so it cannot be followed.")
        return follow(run, cluster)
