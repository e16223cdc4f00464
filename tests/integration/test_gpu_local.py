"""The stack gpu-local: steps in processes of their own, which may be killed, fail, or be told to end.

There is no GPU in it: the operator is the same on a machine without one.
"""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
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

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("project with runs of its own")]

STACK = ("--stack", "gpu-local")


def step_process(front_door: subprocess.Popen[str]) -> psutil.Process | None:
    for child in psutil.Process(front_door.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has ended since
            if "operators.step_process" in child.cmdline():
                return child
    return None


def test_a_killed_step_is_restarted_and_ctrl_c_stops_it_with_a_checkpoint(beside: Project) -> None:
    project = beside.with_settings(
        training={"max_steps": 5000, "checkpoint_steps": 10}, tracking={"experiment": "killed step"}
    )
    before, choice = project.checkpoints, project.users_choice
    process = project.start(*STACK, "--only", "finetune")
    wait_for_line("/5000", process)  # progress of another process
    wait_for(lambda: project.checkpoints - before, process)
    assert project.users_choice == choice
    killed = step_process(process)
    assert killed is not None
    killed.kill()
    wait_for_line("Step finetune was killed (SIGKILL). Restarting it", process)
    kept = project.checkpoints
    wait_for(lambda: project.checkpoints - kept, process)
    child = step_process(process)
    assert child is not None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130, said
    assert "interrupted finetune" in said
    assert "Interrupted" in said
    assert not child.is_running()

    steps = trained_steps(project, status="KILLED")
    assert steps[-1] == newest_step(project.checkpoints - before)
    assert set(steps) == set(range(1, steps[-1] + 1))
    assert len(steps) - steps[-1] <= 10  # resumed from the last complete checkpoint


def newest_step(manifests: set[Path]) -> int:
    return max(int(manifest.parent.name.removeprefix("step-")) for manifest in manifests)


def test_where_a_step_is_computed_is_no_part_of_its_result(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert steps_that_ran(project.result(*STACK)) == set()


def test_what_a_step_raises_is_said_and_not_tried_again(beside: Project) -> None:
    diverging = ("training.learning_rate=0.99", "training.weight_decay=1e30")
    finished = beside.run(*STACK, *(word for one in diverging for word in ("--set", one)))
    assert finished.returncode == 1
    assert re.search(r"Training stopped at step \d+: (loss|grad_norm) is (nan|inf)", finished.stderr)
    assert "started again" not in finished.stderr
    assert "Traceback" not in finished.stderr
