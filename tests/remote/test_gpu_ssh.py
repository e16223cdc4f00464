"""The whole pipeline on real engines: containers on a host that is reached by ssh."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.front_door import Project, steps_that_ran
from tests.remote.bed import TestBed
from tests.remote.conftest import STACK

# The first test also builds the image, and starts the services.
pytestmark = [pytest.mark.remote, pytest.mark.timeout(1800)]


def test_doctor_finds_every_service(project: Project) -> None:
    finished = project.run("doctor", *STACK, "--config", str(project.config), "--json")
    found = {check["name"]: check for check in json.loads(finished.stdout)}
    assert [check for check in found.values() if not check["ok"]] == []
    assert finished.returncode == 0
    assert {"ZenML server", "Docker", "registry", "S3", "GPU host", "model"} <= set(found)


def test_a_first_run_trains_in_containers_and_registers(first_run: dict[str, Any]) -> None:
    assert first_run["status"] == "completed"
    assert first_run["model"]["aliases"] == ["champion"]
    assert first_run["metrics"]["tuned"]["accuracy"] > first_run["metrics"]["baseline"]["accuracy"]


def test_a_second_run_comes_from_the_cache(project: Project, first_run: dict[str, Any]) -> None:
    assert steps_that_ran(project.result(*STACK)) == set()


def test_rerun_evaluate_runs_it_alone(project: Project, first_run: dict[str, Any]) -> None:
    assert steps_that_ran(project.result(*STACK, "--rerun", "evaluate")) == {"evaluate"}


def test_every_server_listens_on_loopback_only(bed: TestBed, first_run: dict[str, Any]) -> None:
    addresses = {name: server.listens_at() for name, server in bed.servers.items()}
    assert all(found <= {"127.0.0.1", "::1"} for found in addresses.values()), addresses
