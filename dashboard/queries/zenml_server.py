"""Reads of a ZenML server, through ZenML's client: the same as `zenml_store.py` reads from a local database.

Called in a process of its own (`jobs.py`): the client takes 10 s to import and connect.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from dashboard.queries.zenml_store import Artifact, StoredDetails, StoredRun, StoredStep
from front_door.run.launch import COMMAND_LINE
from operators.zenml_store import connect
from review_sentiment.tracking.provenance import COMMAND, ORIGIN, SETTINGS

if TYPE_CHECKING:
    from datetime import datetime

NEWEST = 200
"""Runs that are read: each takes 20 ms."""
STORAGE_SIZE = "storage_size"


def server_runs() -> list[StoredRun]:
    """Return the newest runs of the server.

    Raises:
        ReviewSentimentError: it does not respond.
    """
    found = connect().list_pipeline_runs(size=NEWEST, sort_by="desc:created", hydrate=True)
    return [_run(each) for each in found.items]


def server_details(name: str) -> StoredDetails:
    """Return what the server knows about a run; nothing if it does not know it.

    Raises:
        ReviewSentimentError: it does not respond.
    """
    client = connect()
    found = client.list_pipeline_runs(name=name, hydrate=True).items
    if not found:
        return StoredDetails()
    run = found[0]
    steps = run.steps
    artifacts = [
        Artifact(step, output, version.uri, _size(version.run_metadata.get(STORAGE_SIZE)))
        for step, done in steps.items()
        for output, versions in done.outputs.items()
        for version in versions
    ]
    started = [
        StoredStep(
            step,
            tuple(done.spec.upstream_steps),
            str(done.status),
            _time(done.start_time),
            _time(done.end_time),
        )
        for step, done in steps.items()
    ]
    logs = [log.uri for log in run.log_collection or ()]
    settings, parameters = run.config.extra.get(SETTINGS, {}), run.config.parameters.get("settings", {})
    return StoredDetails(started, artifacts, dict(settings), dict(parameters), logs)


def _run(run: Any) -> StoredRun:
    extra = run.config.extra
    stack = run.stack.name if run.stack else ""
    return StoredRun(
        name=run.name,
        status=str(run.status),
        since=_time(run.start_time) or _time(run.created),
        until=_time(run.end_time) or None,
        stack=stack.removeprefix("review-sentiment-"),
        origin="schedule" if run.schedule else str(extra.get(ORIGIN, COMMAND_LINE)),
        command=str(extra.get(COMMAND, "")),
    )


def _size(value: Any) -> int | None:
    return int(value) if value else None


def _time(moment: datetime | None) -> float:
    """Return seconds since 1970 of a time in UTC, as ZenML has it."""
    return moment.replace(tzinfo=UTC).timestamp() if moment else 0.0
