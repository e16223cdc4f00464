"""The run of a training is found by the times of its logged steps; child runs are no trainings."""

from __future__ import annotations

import pytest
from mlflow.entities import Metric

from review_sentiment.tracking import mlflow_store, run_log
from review_sentiment.tracking.recorded_runs import run_of_training


def training(name: str, *seconds: float) -> str:
    """Make a run whose loss was logged at these times; return its id."""
    run_id = run_log.open_run("e", name, {}, {})
    points = [Metric("train/loss", 1.0, round(time * 1000), step) for step, time in enumerate(seconds, 1)]
    mlflow_store.client().log_batch(run_id, metrics=points)
    return run_id


@pytest.mark.parametrize("status", [None, "KILLED", "FAILED", "FINISHED"])
def test_a_training_is_found_however_its_run_ended(mlflow_uri: str, status: str | None) -> None:
    runs = [training("first", 100, 110), training("second", 200, 210)]
    for run in runs if status else []:
        mlflow_store.client().set_terminated(run, status)
    assert [run_of_training("e", since, since + 50) for since in (90, 190)] == runs
    assert run_of_training("e", 205) == runs[1]
    assert run_of_training("e", 300) is None
    assert run_of_training("another", 90) is None


def test_a_resumed_training_has_both_times(mlflow_uri: str) -> None:
    run = training("resumed", 100, 110, 200, 210)
    assert run_of_training("e", 90, 120) == run
    assert run_of_training("e", 190, 220) == run
    assert run_of_training("e", 120, 190) is None


def test_child_runs_are_not_trainings(mlflow_uri: str) -> None:
    """Six evaluations are newer than the training: a search that counted them would end before it."""
    run = training("training", 100)
    mlflow_store.client().set_terminated(run)
    for number in range(6):
        child = run_log.open_child(run, f"evaluation-{number}", {}, {})
        mlflow_store.client().set_terminated(child)
    assert run_of_training("e", 90) == run
