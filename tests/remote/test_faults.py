"""What goes wrong on other machines: what was finished is kept, and the message says what to do."""

from __future__ import annotations

import signal
import subprocess
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.front_door import Project, trained_steps, wait_for, wait_for_line
from tests.remote.bed import BUCKETS, TestBed
from tests.remote.conftest import STACK
from tests.remote.engines import run

# The first test also builds the image, and starts the services.
pytestmark = [pytest.mark.remote, pytest.mark.timeout(1800)]

STEPS = 200


@pytest.fixture
def training(project: Project, first_run: dict[str, Any], request: pytest.FixtureRequest) -> Project:
    """Return a project that trains anew, alone, on what the first run has prepared.

    The seed is the test's own: a training goes on from the checkpoints of one that is the same but for its
    experiment, such as that of a test that has failed.
    """
    own = project.with_settings(
        tracking={"experiment": request.node.name},
        training={"max_steps": STEPS, "checkpoint_steps": 10, "validations": 0},
    )
    return replace(own, settings=own.settings | {"seed": zlib.crc32(request.node.name.encode())})


def checkpoints(bed: TestBed) -> set[str]:
    listed = bed.s3.list_objects_v2(Bucket=BUCKETS[0], Prefix="checkpoints/")
    return {entry["Key"] for entry in listed.get("Contents", []) if entry["Key"].endswith("manifest.json")}


def started_and_past_a_checkpoint(bed: TestBed, training: Project) -> subprocess.Popen[str]:
    before = checkpoints(bed)
    process = training.start(*STACK, "--only", "finetune")
    wait_for(lambda: checkpoints(bed) - before, process)
    return process


def finished(process: subprocess.Popen[str], training: Project) -> str:
    """Insist on success; return what the run has said of its progress."""
    _, said = process.communicate(timeout=training.timeout_seconds)
    assert process.returncode == 0, said
    assert f"training {STEPS}/{STEPS}" in said
    return said


def went_on(bed: TestBed, training: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Insist on one finished MLflow run whose steps were not all trained twice."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, bed.environment[name])
    steps = trained_steps(training)
    assert set(steps) == set(range(1, STEPS + 1))
    assert len(steps) < 2 * STEPS


def test_a_container_that_is_killed_is_started_again(
    bed: TestBed, training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started_and_past_a_checkpoint(bed, training)
    (container,) = bed.step_containers()
    bed.docker("kill", container)
    assert "Restarting it" in finished(process, training)
    went_on(bed, training, monkeypatch)
    assert bed.step_containers() == []


@pytest.mark.parametrize(("server", "seconds"), [("s3", 60), ("mlflow", 20)])
def test_a_service_that_is_away_for_a_while_costs_no_more_than_an_interval(
    bed: TestBed, training: Project, monkeypatch: pytest.MonkeyPatch, server: str, seconds: int
) -> None:
    process = started_and_past_a_checkpoint(bed, training)
    bed.servers[server].stop()
    time.sleep(seconds)
    bed.servers[server].start()
    finished(process, training)
    went_on(bed, training, monkeypatch)


def test_a_client_that_is_killed_is_started_again(
    bed: TestBed, training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started_and_past_a_checkpoint(bed, training)
    process.kill()
    process.communicate()
    (left,) = bed.step_containers()
    again = training.start(*STACK, "--only", "finetune")
    wait_for(lambda: left not in bed.step_containers(), again)
    finished(again, training)
    went_on(bed, training, monkeypatch)


def test_ctrl_c_ends_the_container_with_a_checkpoint(bed: TestBed, training: Project) -> None:
    training = training.with_settings(training={"checkpoint_steps": 10_000})
    before = checkpoints(bed)
    process = training.start(*STACK, "--only", "finetune")
    wait_for_line(f"/{STEPS}", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=training.timeout_seconds)
    assert process.returncode == 130, said
    assert "Interrupted" in said
    assert checkpoints(bed) - before
    assert bed.step_containers() == []


@pytest.fixture
def without_gpu_host(bed: TestBed) -> Iterator[None]:
    bed.servers["sshd"].stop()
    yield
    bed.servers["sshd"].start()


@pytest.mark.usefixtures("without_gpu_host")
def test_a_gpu_host_that_is_down_is_said_before_the_first_step(
    project: Project, first_run: dict[str, Any]
) -> None:
    refused = project.run(*STACK, "--rerun", "evaluate")
    assert refused.returncode == 1
    assert "GPU host" in refused.stderr
    assert "Check GPU_HOST" in refused.stderr
    assert "running" not in refused.stderr


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("GPU_SSH_KEY", "GPU host: AuthenticationException"),
        ("AWS_SECRET_ACCESS_KEY", "S3: PermissionError"),
        ("ZENML_STORE_API_KEY", "ZenML"),
        ("MLFLOW_TRACKING_PASSWORD", "MLflow"),
    ],
)
def test_a_wrong_key_is_said_before_the_first_step(
    project: Project, first_run: dict[str, Any], tmp_path: Path, variable: str, said: str
) -> None:
    other = tmp_path / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other))
    wrong = str(other) if variable == "GPU_SSH_KEY" else "wrong"
    refused = project.run(*STACK, "--rerun", "evaluate", **{variable: wrong})
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "running" not in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.fixture
def without_sign_in(bed: TestBed) -> Iterator[None]:
    login = Path(bed.environment["DOCKER_CONFIG"]) / "config.json"
    kept = login.read_text()
    login.write_text("{}")
    yield
    login.write_text(kept)


@pytest.mark.usefixtures("without_sign_in")
def test_an_image_that_cannot_be_pulled_says_where_and_why(
    bed: TestBed, project: Project, first_run: dict[str, Any]
) -> None:
    bed.docker("rmi", "--force", *bed.pushed_images())  # the host that built them has them else
    failed = project.run(*STACK, "--rerun", "evaluate")
    assert failed.returncode == 1
    assert "Failed to pull image" in failed.stderr
    assert "docker login" in failed.stderr


def test_a_full_disk_in_the_container_is_said(training: Project, tmp_path: Path) -> None:
    small = training.copied_to(tmp_path / "checkout")
    stack = small.root / "stacks" / "gpu-ssh.yaml"
    stack.write_text(stack.read_text().replace("--shm-size=2g", "--tmpfs=/tmp:size=64k"))
    failed = small.run(*STACK, "--only", "finetune")
    assert failed.returncode == 1
    assert "no room left" in failed.stderr
