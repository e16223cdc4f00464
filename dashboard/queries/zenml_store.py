"""Reads of ZenML's local database: its runs, and the steps, artifacts and settings of one.

ZenML's client needs 10 s to import and connect, and 1 s for 50 runs with their commands; a page is answered
in a tenth of that. So the database of this machine is read directly, and never written or created. Its tables
are those of ZenML 0.98; `zenml_server.py` reads a server, which has no file here.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from front_door.run.launch import COMMAND_LINE
from front_door.state import SQLITE, zenml_directory
from review_sentiment.errors import ReviewSentimentError

STORE_VARIABLE = "ZENML_STORE_URL"
SECONDS_TO_WAIT = 1.0
"""For a database that is being written."""
RUNS = """
SELECT id, name, status, coalesce(start_time, created), end_time FROM pipeline_run ORDER BY created DESC
"""
ORIGINS = """
SELECT run.id, stack.name, coalesce(run.schedule_id, snapshot.schedule_id) IS NOT NULL,
  json_extract(snapshot.pipeline_configuration, '$.extra.command'),
  json_extract(snapshot.pipeline_configuration, '$.extra.started_from')
FROM pipeline_run AS run
LEFT JOIN pipeline_snapshot AS snapshot ON snapshot.id = run.snapshot_id
LEFT JOIN stack ON stack.id = coalesce(run.stack_id, snapshot.stack_id)
"""
"""What never changes. It is behind kilobytes of other columns: 2,000 runs take 0.4 s, with `RUNS` 0.02 s."""
STEPS = """
SELECT configuration.name, json_extract(configuration.config, '$.spec.upstream_steps'), step.status,
  step.start_time, step.end_time, step.id
FROM pipeline_run AS run
JOIN step_configuration AS configuration ON configuration.snapshot_id = run.snapshot_id
LEFT JOIN step_run AS step ON step.pipeline_run_id = run.id AND step.name = configuration.name
WHERE run.name = ? ORDER BY configuration."index", step.created
"""
ARTIFACTS = """
SELECT output.step_id, output.name, version.uri, max(CASE data.key WHEN 'storage_size' THEN data.value END)
FROM step_run_output_artifact AS output
JOIN artifact_version AS version ON version.id = output.artifact_id
LEFT JOIN run_metadata_resource AS link ON link.resource_id = version.id
LEFT JOIN run_metadata AS data ON data.id = link.run_metadata_id
WHERE output.step_id IN ({}) GROUP BY output.step_id, output.name, version.id ORDER BY version.created
"""
# A cross join keeps SQLite (3.40) from reading the outputs of all runs first.
VERDICTS = """
SELECT run.name, data.key, data.value
FROM pipeline_run AS run
CROSS JOIN step_run AS step ON step.pipeline_run_id = run.id AND step.name IN ('compare', 'register_model')
CROSS JOIN step_run_output_artifact AS output
  ON output.step_id = step.id AND output.name IN ('verdict', 'registered')
JOIN run_metadata_resource AS link ON link.resource_id = output.artifact_id
JOIN run_metadata AS data ON data.id = link.run_metadata_id
WHERE data.key IN ('version', 'alias', 'reason', 'passed') AND run.name IN ({})
"""
SETTINGS = """
SELECT run.name, json_extract(snapshot.pipeline_configuration, '$.extra.settings'),
  json_extract(snapshot.pipeline_configuration, '$.parameters.settings')
FROM pipeline_run AS run JOIN pipeline_snapshot AS snapshot ON snapshot.id = run.snapshot_id
WHERE run.name IN ({})
"""
LOGS = (
    "SELECT logs.uri FROM logs JOIN pipeline_run AS run ON run.id = logs.pipeline_run_id WHERE run.name = ?"
)


@dataclass(frozen=True)
class StoredRun:
    """A run in ZenML's store; `origin` is what started it, `command` the equivalent command line."""

    name: str
    status: str
    since: float
    until: float | None
    stack: str
    origin: str
    command: str


@dataclass(frozen=True)
class StoredStep:
    """A step of a run, also if it has not started; times are seconds since 1970, 0 if unknown."""

    name: str
    upstream: tuple[str, ...]
    status: str
    since: float = 0.0
    until: float = 0.0


@dataclass(frozen=True)
class Artifact:
    """An output of a step: its address, and its size in bytes if ZenML has measured it."""

    step: str
    name: str
    address: str
    size: int | None


@dataclass(frozen=True)
class StoredDetails:
    """What ZenML knows about one run: its steps, its outputs, and its log files.

    `settings` has every setting as text, without secrets; `parameters` those that differ from the defaults.
    """

    steps: Sequence[StoredStep] = ()
    artifacts: Sequence[Artifact] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    logs: Sequence[str] = ()


def store_address() -> str:
    """Return the address of ZenML's store, or an empty text if there is none yet."""
    if address := os.environ.get(STORE_VARIABLE):
        return address
    file = zenml_directory() / "config.yaml"
    return _address_in(file, file.stat().st_mtime_ns) if file.is_file() else ""


@lru_cache(1)
def _address_in(file: Path, changed: int) -> str:  # noqa: ARG001 - parsing takes 10 ms, five times a page
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ReviewSentimentError(f"ZenML's configuration {file} could not be read: {error}") from error
    store = content.get("store") if isinstance(content, dict) else None
    return str(store.get("url", "")) if isinstance(store, dict) else ""


def is_on_server() -> bool:
    """Return whether the store is a server's rather than a file of this machine."""
    return bool(address := store_address()) and not address.startswith(SQLITE)


def stored_runs() -> Sequence[StoredRun]:
    """Return all runs of the store, newest first.

    Raises:
        ReviewSentimentError: the database could not be read.
    """
    file = _database()
    return _runs_of(file, file.stat().st_mtime_ns) if file is not None else ()


@lru_cache(1)
def _runs_of(file: Path, changed: int) -> Sequence[StoredRun]:  # noqa: ARG001 - a commit changes the file
    runs = _rows(RUNS)
    origins = _origins(file, len(runs), runs[0][0] if runs else "")
    found = []
    for key, name, status, since, until in runs:
        stack, scheduled, command, origin = origins.get(key, (None, False, None, None))
        found.append(
            StoredRun(
                name=name,
                status=status,
                since=_time(since),
                until=_time(until) if until else None,
                stack=(stack or "").removeprefix("review-sentiment-"),
                origin="schedule" if scheduled else origin or COMMAND_LINE,
                command=command or "",
            )
        )
    return found


@lru_cache(1)
def _origins(file: Path, runs: int, newest: str) -> Mapping[str, tuple[Any, ...]]:  # noqa: ARG001 - of these runs
    """Return stack, schedule, command and what started it for each run, by its id."""
    return {key: tuple(values) for key, *values in _rows(ORIGINS)}


def stored_details(name: str) -> StoredDetails:
    """Return what the store knows about a run; nothing if it does not know it.

    Raises:
        ReviewSentimentError: the database could not be read.
    """
    rows = _rows(STEPS, name)
    steps = {
        step: StoredStep(step, tuple(json.loads(upstream or "[]")), status or "", _time(since), _time(until))
        for step, upstream, status, since, until, _ in rows
    }
    names = {key: step for step, *_, key in rows if key}
    artifacts = [
        Artifact(names[key], output, address, int(size) if size else None)
        for key, output, address, size in _rows(ARTIFACTS.format(_marks(list(names))), *names)
    ]
    _, settings, parameters = next(iter(_rows(SETTINGS.format("?"), name)), ("", None, None))
    return StoredDetails(
        tuple(steps.values()),
        artifacts,
        json.loads(settings or "{}"),
        json.loads(parameters or "{}"),
        [uri for (uri,) in _rows(LOGS, name)],
    )


def stored_settings(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return all settings of these runs, as text by key."""
    found = _rows(SETTINGS.format(_marks(names)), *names)
    return {name: json.loads(settings or "{}") for name, settings, _ in found}


def stored_verdicts(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what these runs registered: `version`, `alias`, `passed` and `reason`, if they have them."""
    found: dict[str, dict[str, Any]] = {}
    for name, key, value in _rows(VERDICTS.format(_marks(names)), *names):
        found.setdefault(name, {})[key] = json.loads(value)
    return found


def _marks(names: Sequence[str]) -> str:
    return ", ".join("?" * len(names))


def _database() -> Path | None:
    """Return the file of the database, or None if it does not exist."""
    address = store_address()
    file = Path(address.removeprefix(SQLITE))
    return file if address and file.is_file() else None


def _rows(query: str, *values: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none if the database does not exist."""
    file = _database()
    if file is None:
        return []
    try:
        uri = f"{file.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=SECONDS_TO_WAIT)) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise ReviewSentimentError(
            f"ZenML's database {file} could not be read: {error}. If a program is writing to it, try again. "
            "If it is of another version of ZenML, run a command of this version first."
        ) from error


def _time(text: str | None) -> float:
    """Return seconds since 1970 of a time in UTC, as ZenML stores it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else 0.0
