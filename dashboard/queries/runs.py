"""All runs: those of ZenML's store, however and wherever they were started, and those of this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dashboard.queries import zenml_store
from dashboard.queries.zenml_store import StoredDetails, StoredRun, is_on_server
from dashboard.runs.local import LocalRun, local_runs
from dashboard.runs.outcome import JUDGEMENTS, STATUS_WORDS, Outcome, outcome_of_end, outcome_of_verdict
from front_door.run.launch import COMMAND_LINE
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = 50
SERVER_SECONDS = 60
"""A server's runs are read anew after this time."""
STATUSES = {"completed": "completed", "cached": "completed", "failed": "failed", "stopped": "interrupted"}
"""Of ZenML; a run with any other is in progress."""
TIME_IN_NAME = re.compile(r"(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)_\d+$")
SORTS = {"started": "Newest first", "oldest": "Oldest first", "longest": "Longest first", "status": "Status"}


@dataclass(frozen=True)
class Run:
    """A run, wherever it is known from; `seconds` is None while that is not known."""

    name: str
    status: str
    since: float
    seconds: float | None
    stack: str
    origin: str
    command: str
    local: LocalRun | None

    @property
    def title(self) -> str:
        """Return a name for people: the time at which the run was started."""
        return readable(self.name)

    @property
    def started(self) -> datetime:
        """Return when the run started."""
        return datetime.fromtimestamp(self.since, UTC)

    @property
    def status_word(self) -> str:
        """Return the status as people call it."""
        return STATUS_WORDS.get(self.status, self.status)

    @property
    def judgement(self) -> str:
        """Return how good the status is."""
        return JUDGEMENTS[self.status]

    @property
    def in_progress(self) -> bool:
        """Return whether the run has not ended."""
        return self.judgement == "live"


@dataclass(frozen=True)
class RunList:
    """The runs that are known; `problem` says why some may be missing, `loading` that they are being read."""

    runs: Sequence[Run]
    problem: str = ""
    loading: bool = False

    def find(self, name: str) -> Run | None:
        """Return the run with a name, or None."""
        return next((run for run in self.runs if run.name == name), None)


def read_runs(request: Request) -> RunList:
    """Return all runs, newest first; those of this machine also if ZenML's store cannot be read."""
    stored: Sequence[StoredRun] = ()
    problem, loading = "", False
    try:
        if is_on_server():
            from dashboard.queries.zenml_server import server_runs

            key = ("runs", int(time.time() / SERVER_SECONDS))
            job = request.app.state.jobs.ask("computations", key, server_runs)
            stored, problem, loading = job.result or (), job.problem, job.in_progress
        else:
            stored = zenml_store.stored_runs()
    except ReviewSentimentError as error:
        problem = str(error)
    return RunList(_joined(stored, local_runs()), problem, loading)


def read_details(request: Request, name: str) -> StoredDetails:
    """Return what ZenML knows about a run; nothing while a server is being asked.

    Raises:
        ReviewSentimentError: the store cannot be read.
    """
    if not is_on_server():
        return zenml_store.stored_details(name)
    from dashboard.queries.zenml_server import server_details

    key = ("run", name, int(time.time() / SERVER_SECONDS))
    job = request.app.state.jobs.ask("computations", key, server_details, name)
    if job.problem:
        raise ReviewSentimentError(job.problem)
    return job.result or StoredDetails()


def chosen(runs: Iterable[Run], status: str, search: str, sort: str) -> list[Run]:
    """Return the runs with a status whose name, command or stack contains the searched words, sorted."""
    words = search.lower().split()
    found = [
        run
        for run in runs
        if status in {"", run.status}
        and all(
            word in f"{run.title} {run.name} {run.command} {run.stack} {run.origin}".lower() for word in words
        )
    ]
    keys = {
        "oldest": lambda run: run.since,
        "longest": lambda run: -(run.seconds or 0.0),
        "status": lambda run: (run.status, -run.since),
    }
    return sorted(found, key=keys.get(sort, lambda run: -run.since))


def outcomes(runs: Sequence[Run]) -> dict[str, Outcome]:
    """Return what came of these runs, by name; runs of which nothing is known are left out."""
    found = {run.name: outcome_of_end(run.local.end) for run in runs if run.local and run.local.end}
    others = [run.name for run in runs if run.name not in found and run.status == "completed"]
    if others and not is_on_server():
        for name, verdict in zenml_store.stored_verdicts(others).items():
            if outcome := outcome_of_verdict(verdict):
                found[name] = outcome
    return found


def readable(name: str) -> str:
    """Return the time in a run's name as people write it, or the name if it has none."""
    found = TIME_IN_NAME.search(name)
    if found is None:
        return name
    moment = datetime(*map(int, found.groups()))  # type: ignore[arg-type]
    return f"{moment.day} {moment:%b %Y, %H:%M:%S}"


def _joined(stored: Iterable[StoredRun], local: Mapping[str, LocalRun]) -> list[Run]:
    known = {run.name: run for run in stored}
    runs = [_run(name, known.get(name), local.get(name)) for name in known.keys() | local.keys()]
    return sorted(runs, key=lambda run: -run.since)


def _run(name: str, stored: StoredRun | None, local: LocalRun | None) -> Run:
    status = STATUSES.get(stored.status, "running") if stored else "running"
    since, until = (stored.since, stored.until) if stored else (0.0, None)
    origin, command = (stored.origin, stored.command) if stored else (COMMAND_LINE, "")
    if local is not None:
        since = local.since
        until = local.end["time"] if local.end else until
        # A run that was detached goes on in a cluster; one that ZenML saw the end of is not lost.
        unsure = {"detached"} if status == "running" else {"detached", "lost"}
        status = local.status if stored is None or local.status not in unsure else status
        if local.record is not None:
            origin, command = "dashboard", local.record.title
    stack = stored.stack if stored else local.stack if local else ""
    ended = until is not None and JUDGEMENTS.get(status) != "live"
    seconds = until - since if ended and until is not None else None
    return Run(name, status, since, seconds, stack, origin, command, local)
