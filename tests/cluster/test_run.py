"""The whole pipeline on a real Kubernetes: every step is a pod, and those that run a model request a GPU."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.conftest import STACK
from tests.front_door import Project, steps_that_ran

# The first test also starts the cluster, and may build the image.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]


def test_doctor_finds_every_service(project: Project) -> None:
    finished = project.run("doctor", *STACK, "--config", str(project.config), "--json")
    found = {check["name"]: check for check in json.loads(finished.stdout)}
    assert [check for check in found.values() if not check["ok"]] == []
    assert finished.returncode == 0


def test_a_first_run_trains_in_pods_and_registers(first_run: dict[str, Any]) -> None:
    assert first_run["status"] == "completed"
    assert first_run["model"]["aliases"] == ["champion"]
    assert first_run["metrics"]["tuned"]["accuracy"] > first_run["metrics"]["baseline"]["accuracy"]


def test_a_second_run_comes_from_the_cache(project: Project, first_run: dict[str, Any]) -> None:
    assert steps_that_ran(project.result(*STACK)) == set()


def test_rerun_evaluate_runs_it_alone(project: Project, first_run: dict[str, Any]) -> None:
    assert steps_that_ran(project.result(*STACK, "--rerun", "evaluate")) == {"evaluate"}
