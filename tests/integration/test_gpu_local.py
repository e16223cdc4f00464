"""The stack gpu-local: steps in processes of their own, which may be killed, fail, or be told to end.

There is no GPU in it: the operator is the same on a machine without one.
"""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.front_door import (
    TIMEOUT_SECONDS,
    Project,
    steps_that_ran,
    trained_steps,
    wait_for,
    wait_for_line,
)

pytestmark = pytest.mark.integration

STACK = ("--stack", "gpu-local")


def step_process(front_door: subprocess.Popen[str]) -> psutil.Process | None:
    for child in psutil.Process(front_door.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has ended since
            if "operators.step_process" in child.cmdline():
                return child
    return None


def test_a_step_that_is_killed_is_started_again_and_goes_on_from_its_checkpoint(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 40, "checkpoint_steps": 10}, tracking={"experiment": "killed step"}
    )
    before = project.checkpoints
    process = project.start(*STACK, "--only", "finetune")
    wait_for(lambda: project.checkpoints - before, process)
    child = step_process(process)
    assert child is not None
    child.kill()
    _, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, said
    assert "Step finetune was killed (SIGKILL) and is started again" in said
    assert "training 40/40" in said  # progress of another process

    steps = trained_steps(project)
    assert set(steps) == set(range(1, 41))
    # The checkpoint of step 10 or a later one is gone on from.
    assert 40 <= len(steps) < 50


def test_where_a_step_is_computed_is_no_part_of_its_result(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert steps_that_ran(project.result(*STACK)) == set()


def test_what_a_step_raises_is_said_and_not_tried_again(beside: Project) -> None:
    finished = beside.run(*STACK, "--set", "lora.rank=2000000", "--set", "training.fit=refuse")
    assert finished.returncode == 1
    assert "This training needs about" in finished.stderr
    assert "started again" not in finished.stderr
    assert "Traceback" not in finished.stderr


def test_ctrl_c_ends_the_steps_process_with_a_checkpoint(beside: Project) -> None:
    project = beside.with_settings(training={"max_steps": 4000, "checkpoint_steps": 4000})
    before = project.checkpoints
    process = project.start(*STACK, "--only", "finetune")
    child = wait_for(lambda: step_process(process), process)
    assert child is not None
    wait_for_line("/4000", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, said
    assert "Interrupted" in said
    assert not child.is_running()
    assert project.checkpoints - before
