"""A run that was killed, and a step that is tried again, go on from the checkpoint."""

from __future__ import annotations

import signal

import pytest

from tests.front_door import TIMEOUT_SECONDS, Project, trained_steps, trainings, wait_for, wait_for_line

pytestmark = pytest.mark.integration

MLFLOW_AWAY_ONCE = """
import sys
sys.path.insert(0, ".")
from zenml.config.retry_config import StepRetryConfig
import steps.finetune as module
from review_sentiment.tracking.candidate import Candidate

module.finetune = module.finetune.with_options(retry=StepRetryConfig(max_retries=1))
log_step, away_at = Candidate.log_step, {12}

def log_step_or_fail(self, step, figures):
    if step in away_at:
        away_at.clear()
        raise ConnectionError("MLflow is away")
    log_step(self, step, figures)

Candidate.log_step = log_step_or_fail
"""


STORE_AWAY = """
from materializers.adapter import TrainedAdapterMaterializer

def save(self, trained):
    raise ConnectionError("the artifact store is away")

TrainedAdapterMaterializer.save = save
"""


def test_what_was_trained_before_a_service_was_away_is_not_trained_again(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 12, "checkpoint_steps": 10}, tracking={"experiment": "away"}
    )
    before = project.checkpoints
    failed = project.run("--only", "finetune", before=MLFLOW_AWAY_ONCE + STORE_AWAY)
    assert failed.returncode == 1
    assert "the artifact store is away" in failed.stderr
    assert project.checkpoints - before

    project.result()
    # Both times the checkpoint of step 10 is gone on from, in the same MLflow run.
    assert trained_steps(project) == sorted([*range(1, 13), 11, 11, 12])
    assert project.checkpoints == before


def test_a_training_that_had_finished_is_trained_anew(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 12, "checkpoint_steps": 10}, tracking={"experiment": "anew"}
    )
    before = project.checkpoints
    for _ in range(2):
        project.result("--only", "finetune")  # no evaluation, which would clear the checkpoints
        assert project.checkpoints - before
    assert [steps for _, steps in trainings(project)] == [list(range(1, 13))] * 2


def test_a_killed_run_goes_on_from_its_checkpoint_in_the_same_mlflow_run(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 60, "checkpoint_steps": 10}, tracking={"experiment": "killed"}
    )
    before = project.checkpoints
    process = project.start("--only", "finetune")
    wait_for(lambda: project.checkpoints - before, process)
    process.kill()
    process.communicate()

    project.result()
    steps = trained_steps(project)
    assert set(steps) == set(range(1, 61))
    assert len(steps) < 120  # what was trained before is not trained again
    assert project.checkpoints == before, "a finished training leaves no checkpoint"


def test_ctrl_c_is_exit_130_and_the_next_run_goes_on_from_checkpoint_and_cache(beside: Project) -> None:
    project = beside.with_settings(training={"max_steps": 4000}, split={"validation_share": 0.21})
    before = project.checkpoints
    process = project.start()
    wait_for_line("/4000", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, said
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert len(project.checkpoints - before) == 1

    plan = project.result("--dry-run")["steps"]
    assert plan["split_reviews"] == "cached"
    assert plan["finetune"] == "runs"
