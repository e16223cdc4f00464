"""`attach`: follow a run on a cluster whose command was detached or killed, or stop it."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from front_door.commands.options import JSON
from front_door.stack.files import PREFIX
from front_door.state import new_log_file, tracking_uri
from front_door.terminal.console import redirect_output
from front_door.terminal.error_text import EXIT_INTERRUPTED
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from front_door.cluster.pods import Cluster
    from front_door.run.result import RunResult

logger = logging.getLogger("review_sentiment.cluster")


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--stop", "stops", is_flag=True, help="Stop it: a training writes a checkpoint first.")
@JSON
def attach(name: str, stops: bool, as_json: bool) -> None:
    """Follow a run on a cluster, and print its result when it ends.

    RUN is the name that `--detach` printed. Ctrl-C leaves the run as it is; `--stop` stops it. Needs the
    variables of the services, as the run did.
    """
    with redirect_output(new_log_file()):
        result = _stopped(name) if stops else _followed(name)
    if as_json:
        click.echo(json.dumps(asdict(result)))
    elif stops:
        click.echo(f"{result.status}: {result.pipeline_run}")
    else:
        from front_door.run.summary import summary

        click.echo(summary(result))


def _followed(name: str) -> RunResult:
    from front_door.cluster.follow import follow
    from review_sentiment.tracking import mlflow_store

    run = _run_of(name)
    cluster = _cluster_of(run)
    mlflow_store.configure(tracking_uri())
    try:
        return _result(follow(run, cluster))
    except KeyboardInterrupt:
        logger.warning("The run %s goes on. To stop it: python run_pipeline.py attach %s --stop", name, name)
        raise SystemExit(EXIT_INTERRUPTED) from None


def _stopped(name: str) -> RunResult:
    from front_door.cluster.stop import stop

    run = _run_of(name)
    stop(run, _cluster_of(run))
    return _result(run)


def _run_of(name: str) -> PipelineRunResponse:
    from operators.zenml_store import connect

    client = connect()
    found = client.list_pipeline_runs(name=name, hydrate=True).items
    if not found:
        known = [run.name for run in client.list_pipeline_runs(size=50).items if not run.status.is_finished]
        raise UsageError(
            f"There is no run '{name}'.{did_you_mean(name, known)} Runs that have not ended: "
            f"{', '.join(known) or 'none'}."
        )
    return found[0]


def _cluster_of(run: PipelineRunResponse) -> Cluster:
    from front_door.cluster.pods import cluster_of

    cluster = cluster_of(run)
    if cluster is None:
        raise UsageError(
            f"The run {run.name} is not on a cluster: it ended with the process that started it. Start it "
            "again: finished steps are in the cache."
        )
    return cluster


def _result(run: PipelineRunResponse) -> RunResult:
    """Return the result of a run; its seconds are those of the run itself."""
    from zenml.client import Client

    from front_door.run.result import read_result

    latest = Client().get_pipeline_run(run.id)
    stack = latest.stack.name.removeprefix(f"{PREFIX}-") if latest.stack else ""
    seconds = (latest.end_time - latest.start_time).total_seconds() if latest.end_time else 0.0
    return replace(read_result(latest, stack), seconds=round(seconds, 1))
