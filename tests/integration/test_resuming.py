"""Killed runs and retried steps resume from the checkpoint."""

from __future__ import annotations

import re
import signal

import pytest

from tests.front_door import TIMEOUT_SECONDS, Project, trained_steps, trainings, wait_for, wait_for_line

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("project with runs of its own")]

MLFLOW_FAILS_ONCE = """
import sys
sys.path.insert(0, ".")
from zenml.config.retry_config import StepRetryConfig
import steps.finetune as module
from review_sentiment.tracking.candidate import Candidate

module.finetune = module.finetune.with_options(retry=StepRetryConfig(max_retries=1))
log_step, fails_at = Candidate.log_step, {12}

def log_step_or_fail(self, step, figures):
    if step in fails_at:
        fails_at.clear()
        raise ConnectionError("MLflow is unavailable")
    log_step(self, step, figures)

Candidate.log_step = log_step_or_fail
"""


STORE_FAILS = """
from materializers.adapter import TrainedAdapterMaterializer

def save(self, trained):
    raise ConnectionError("the artifact store is unavailable")

TrainedAdapterMaterializer.save = save
"""


def test_an_unavailable_service_does_not_repeat_training(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 12, "checkpoint_steps": 10}, tracking={"experiment": "unavailable"}
    )
    before = project.checkpoints
    # Not --only, which takes the inputs of the latest run, and that may be another test's, with other labels.
    failed = project.run("--rerun", "finetune", before=MLFLOW_FAILS_ONCE + STORE_FAILS)
    assert failed.returncode == 1
    assert "the artifact store is unavailable" in failed.stderr
    assert project.checkpoints - before

    project.result()
    # Both attempts resume from the checkpoint at step 10, in the same MLflow run.
    assert trained_steps(project) == sorted([*range(1, 13), 11, 11, 12])
    assert project.checkpoints == before


def test_a_finished_training_is_repeated_from_the_start(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 12, "checkpoint_steps": 10}, tracking={"experiment": "repeated"}
    )
    before = project.checkpoints
    for _ in range(2):
        project.result("--only", "finetune")  # without the evaluation, which deletes the checkpoints
        assert project.checkpoints - before
    assert [steps for _, steps in trainings(project)] == [list(range(1, 13))] * 2


def test_a_killed_run_resumes_from_its_checkpoint_in_the_same_mlflow_run(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 60, "checkpoint_steps": 10}, tracking={"experiment": "killed"}
    )
    before = project.checkpoints
    process = project.start("--only", "finetune")
    wait_for(lambda: project.checkpoints - before, process)
    process.kill()
    process.communicate()

    finished = project.run()
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"resumed from step \d+0$", finished.stderr, re.MULTILINE), finished.stderr
    steps = trained_steps(project)
    assert set(steps) == set(range(1, 61))
    assert len(steps) < 120  # not all steps are repeated
    assert project.checkpoints == before, "a finished training leaves no checkpoint"


def test_ctrl_c_exits_with_130_and_keeps_a_checkpoint_and_the_cache(beside: Project) -> None:
    project = beside.with_settings(training={"max_steps": 4000}, prompt={"max_tokens": 150})
    before = project.checkpoints
    process = project.start()
    wait_for_line("/4000", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, errors
    assert re.search(r"^interrupted finetune .*\n+Interrupted\. ", errors, re.MULTILINE), errors
    assert "Traceback" not in errors
    assert "failed " not in errors
    assert len(project.checkpoints - before) == 1

    plan = project.result("--dry-run")["steps"]
    assert plan["format_chat_train"] == "cached"
    assert plan["finetune"] == "runs"
