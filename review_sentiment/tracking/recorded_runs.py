"""Reads from MLflow's runs: their list, their tags, their training curves and their files.

Call `mlflow_store.configure` first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from review_sentiment.errors import TrackingError
from review_sentiment.tracking.mlflow_store import client, temporary_directory
from review_sentiment.training.curves import CURVES

TRAININGS = "tags.`mlflow.parentRunId` IS NULL"
"""Condition of MLflow's search: evaluations and trials are child runs."""
LATEST_SEARCHED = 5


@dataclass(frozen=True)
class Curve:
    """A metric of a training: optimizer steps, values, and seconds since 1970."""

    steps: tuple[int, ...]
    values: tuple[float, ...]
    times: tuple[float, ...]


def run_of_training(experiment: str, since: float, until: float = inf) -> str | None:
    """Return the run that a training logged a step to between two times (seconds since 1970), or None.

    A training that resumes from a checkpoint writes to an older run, and one that was killed leaves a run
    whose status is still RUNNING. So the time of the logged steps decides, not the run's own times.
    """
    for status, newest_by in (("= 'RUNNING'", "start_time"), ("!= 'RUNNING'", "end_time")):
        for run in _search(
            experiment, LATEST_SEARCHED, f"{TRAININGS} AND attributes.status {status}", newest_by
        ):
            if any(since <= time <= until for time in recorded_curve(run.info.run_id, "loss").times):
                return str(run.info.run_id)
    return None


def recorded_curve(run_id: str, name: str) -> Curve:
    """Return one of `CURVES` of a run; empty if the run does not have it."""
    history = client().get_metric_history(run_id, f"train/{name}")
    points = sorted({point.step: point for point in history}.items())
    return Curve(
        tuple(step for step, _ in points),
        tuple(float(point.value) for _, point in points),
        tuple(point.timestamp / 1000 for _, point in points),
    )


def recorded_curves(run_id: str, names: Iterable[str] = CURVES) -> dict[str, Curve]:
    """Return those of the curves that the run has."""
    curves = {name: recorded_curve(run_id, name) for name in names}
    return {name: curve for name, curve in curves.items() if curve.steps}


def experiment_of(run_id: str) -> str:
    """Return the id of a run's experiment."""
    return str(client().get_run(run_id).info.experiment_id)


def recorded_tags(run_id: str) -> dict[str, str]:
    """Return a run's tags."""
    return dict(client().get_run(run_id).data.tags)


def recorded_bytes(run_id: str, path: str) -> bytes:
    """Return a file of a run, such as a plot.

    Raises:
        TrackingError: the run does not have it.
    """
    import mlflow

    if path not in {found.path for found in client().list_artifacts(run_id, path.rpartition("/")[0])}:
        raise TrackingError(f"The MLflow run {run_id} has no file {path}. It may have failed earlier.")
    with temporary_directory() as scratch:
        file = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path, dst_path=scratch)
        return Path(file).read_bytes()


def _search(experiment: str, limit: int, condition: str, newest_by: str = "start_time") -> list[Any]:
    found = client().get_experiment_by_name(experiment)
    if found is None:
        return []
    order = [f"attributes.{newest_by} DESC"]
    return list(client().search_runs([found.experiment_id], condition, max_results=limit, order_by=order))
