"""A run that was killed, and a step that is tried again, go on from the checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

from tests.integration.conftest import ROOT, TIMEOUT_SECONDS, Project

pytestmark = pytest.mark.integration

EVALUATION = {"skip_baseline": True, "sample_predictions": 0}
"""Short: what is tested happens before."""

MLFLOW_AWAY_ONCE = """
import runpy, sys
sys.path.insert(0, ".")
from zenml.config.retry_config import StepRetryConfig
from zenml.utils.source_utils import set_custom_source_root
set_custom_source_root(".")
import steps.finetune as module
from review_sentiment.candidate import Candidate

module.finetune = module.finetune.with_options(retry=StepRetryConfig(max_retries=1))
log_step, away_at = Candidate.log_step, {12}

def log_step_or_fail(self, step, figures):
    if step in away_at:
        away_at.clear()
        raise ConnectionError("MLflow is away")
    log_step(self, step, figures)

Candidate.log_step = log_step_or_fail
sys.argv = ["run_pipeline.py", "--config", CONFIG, "--json"]
runpy.run_path("run_pipeline.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return state that the tests share: what comes before training is the same."""
    return tmp_path_factory.mktemp("state")


def test_a_step_that_is_tried_again_trains_the_rest_in_the_same_mlflow_run(
    settings: dict[str, Any], state: Path
) -> None:
    short = settings["training"] | {"checkpoint_steps": 5, "validations": 0}
    project = Project(ROOT, state, settings | {"training": short, "evaluation": EVALUATION})
    config = state / "config.yaml"
    config.write_text(yaml.safe_dump(project.settings))
    finished = subprocess.run(
        [sys.executable, "-c", MLFLOW_AWAY_ONCE.replace("CONFIG", repr(str(config)))],
        cwd=ROOT,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    run_id = result["mlflow"]["run_id"]
    assert client.get_run(run_id).info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run_id, "train/loss")]
    # The checkpoint of step 10 is gone on from: only step 11 is trained twice.
    assert sorted(steps) == sorted([*range(1, 21), 11])


def test_a_killed_run_goes_on_from_its_checkpoint_in_the_same_mlflow_run(
    settings: dict[str, Any], state: Path
) -> None:
    long = settings["training"] | {"max_steps": 100, "checkpoint_steps": 10, "validations": 0}
    own = {"training": long, "evaluation": EVALUATION, "tracking": {"experiment": "killed"}}
    project = Project(ROOT, state, settings | own)
    (state / "config.yaml").write_text(yaml.safe_dump(project.settings))
    checkpoints = state / "cache" / "review-sentiment" / "checkpoints"
    process = subprocess.Popen(
        [sys.executable, "run_pipeline.py", "--config", str(state / "config.yaml")],
        cwd=ROOT,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not list(checkpoints.glob("*/step-*/manifest.json")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()

    result = project.result()
    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    run = client.get_run(result["mlflow"]["run_id"])
    assert len(client.search_runs([run.info.experiment_id])) == 1
    assert run.info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")]
    assert set(steps) == set(range(1, 101))
    assert len(steps) < 200  # what was trained before is not trained again
    assert not list(checkpoints.glob("*/step-*")), "a finished training leaves no checkpoint"
