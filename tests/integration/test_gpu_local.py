"""The stack gpu-local: steps in processes of their own, which may be killed, fail, or be told to end.

There is no GPU in it: the operator is the same on a machine without one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest
import yaml

from tests.integration.conftest import ROOT, TIMEOUT_SECONDS, Project, steps_that_ran

pytestmark = pytest.mark.integration

STACK = ("--stack", "gpu-local")


@pytest.fixture(scope="module")
def own_project(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    training = settings["training"] | {"max_steps": 40, "checkpoint_steps": 10, "validations": 0}
    evaluation = {"skip_baseline": True, "sample_predictions": 0}
    state = tmp_path_factory.mktemp("state")
    return Project(ROOT, state, settings | {"training": training, "evaluation": evaluation})


def started(project: Project, *arguments: str) -> subprocess.Popen[str]:
    config = project.state / "config.yaml"
    config.write_text(yaml.safe_dump(project.settings))
    return subprocess.Popen(
        [sys.executable, "run_pipeline.py", *STACK, "--config", str(config), *arguments],
        cwd=ROOT,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def step_processes(front_door: int) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(front_door).children(recursive=True)
        if "operators.step_process" in child.cmdline()
    ]


def wait_for(found: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (thing := found()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return thing


def checkpoints(project: Project) -> Iterator[Path]:
    return (project.state / "cache" / "review-sentiment" / "checkpoints").glob("*/step-*/manifest.json")


def test_a_step_that_is_killed_is_started_again_and_goes_on_from_its_checkpoint(own_project: Project) -> None:
    process = started(own_project, "--json")
    wait_for(lambda: list(checkpoints(own_project)), process)
    (child,) = step_processes(process.pid)
    child.kill()
    output, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, said
    assert "Step finetune was killed (SIGKILL) and is started again" in said
    assert "training 40/40" in said  # progress of another process

    result = json.loads(output)
    client = mlflow.MlflowClient(result["mlflow"]["tracking_uri"])
    run_id = result["mlflow"]["run_id"]
    assert client.get_run(run_id).info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run_id, "train/loss")]
    assert set(steps) == set(range(1, 41))
    # The checkpoint of step 10 or a later one is gone on from.
    assert 40 <= len(steps) < 50

    # Where a step is computed is no part of its result.
    assert steps_that_ran(own_project.result("--stack", "local")) == set()


def test_what_a_step_raises_is_said_and_not_tried_again(own_project: Project) -> None:
    finished = own_project.run(*STACK, "--set", "lora.rank=2000000", "--set", "training.fit=refuse")
    assert finished.returncode == 1
    assert "This training needs about" in finished.stderr
    assert "started again" not in finished.stderr
    assert "Traceback" not in finished.stderr


def test_ctrl_c_ends_the_steps_process_with_a_checkpoint(own_project: Project) -> None:
    own_project.settings["training"] |= {"max_steps": 4000, "checkpoint_steps": 4000}
    process = started(own_project)
    (child,) = wait_for(lambda: step_processes(process.pid), process)
    assert process.stderr is not None
    for line in process.stderr:
        if "training" in line and "/4000" in line:
            break
    before = set(checkpoints(own_project))
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "Interrupted" in rest
    assert not child.is_running()
    assert set(checkpoints(own_project)) - before
