"""What a run on a cluster shows, and what is left there if its command is stopped, detached or killed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

import pytest
from kubernetes import client

from tests.cluster.bed import NAMESPACE, ClusterBed
from tests.cluster.conftest import STACK
from tests.front_door import Project, steps_that_ran, wait_for, wait_for_line

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

SECONDS_TO_REPORT = 30


def runs_in(bed: ClusterBed) -> set[str]:
    """Return the names of the runs that have a pod."""
    pods = bed.cluster.core().list_namespaced_pod(NAMESPACE).items
    return {pod.metadata.labels["run_name"] for pod in pods if "run_name" in (pod.metadata.labels or {})}


def gpu_pod(bed: ClusterBed, run: str) -> Any:
    """Return the pod of a run that requests a GPU, if there is one."""
    pods = (
        bed.cluster.core().list_namespaced_pod(NAMESPACE, label_selector=f"run_name={run},step_run_id").items
    )
    return pods[-1] if pods else None


def name_of(process: subprocess.Popen[str]) -> str:
    """Return the name of the run that a process has started, from its standard error."""
    return wait_for_line("The run is ", process).partition("The run is ")[2].partition(".")[0]


def test_a_run_says_that_it_waits_for_a_gpu_and_goes_on_when_one_is_free(
    project: Project, bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    process = project.start(*STACK, "--rerun", "evaluate", "--json")
    run = name_of(process)
    bed.cluster.set_gpus(0)  # a run that starts without any is refused
    try:
        wait_for(lambda: gpu_pod(bed, run), process)
        started = time.monotonic()
        wait_for_line("running  evaluate", process)
        line = wait_for_line("waiting: evaluate:", process)
        assert time.monotonic() - started < SECONDS_TO_REPORT
        assert "no node has a free GPU (0/1 nodes are available: 1 Insufficient nvidia.com/gpu)" in line
    finally:
        bed.cluster.set_gpus(1)
    out, err = process.communicate(timeout=project.timeout_seconds)
    assert process.returncode == 0, err
    assert "done     evaluate" in err
    assert steps_that_ran(json.loads(out)) == {"evaluate"}


def test_ctrl_c_leaves_nothing_in_the_cluster(
    project: Project, bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    process = project.start(*STACK, "--rerun", "evaluate")
    run = name_of(process)
    wait_for(lambda: gpu_pod(bed, run), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=project.timeout_seconds)
    assert process.returncode == 130, err
    assert "Nothing of it is left in the cluster" in err
    assert run not in runs_in(bed)
    jobs = client.BatchV1Api(bed.cluster.api()).list_namespaced_job(NAMESPACE).items
    assert run not in {job.metadata.labels["run_name"] for job in jobs}


def test_a_detached_run_is_followed_to_its_result(project: Project, first_run: dict[str, Any]) -> None:
    started = project.result(*STACK, "--rerun", "compare", "--detach")
    assert started["status"] in ("initializing", "provisioning", "running")
    run = started["pipeline_run"]
    found = project.result("attach", run)
    assert (found["pipeline_run"], found["status"], found["stack"]) == (run, "completed", "gpu")
    assert found["metrics"] == first_run["metrics"]
    assert found["model"] == first_run["model"]
    assert project.result("attach", run) == found  # also after its end


def test_a_killed_commands_run_is_named_and_can_be_stopped(
    project: Project, bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    process = project.start(*STACK, "--rerun", "evaluate")
    run = name_of(process)
    wait_for(lambda: run in runs_in(bed), process)
    process.kill()
    process.communicate()
    assert run in runs_in(bed)

    next_run = project.run(*STACK, "--rerun", "compare", "--detach", "--json")
    assert f"python run_pipeline.py attach {run}" in next_run.stderr
    for name in (run, json.loads(next_run.stdout)["pipeline_run"]):
        stopped = project.run("attach", name, "--stop")
        assert stopped.returncode == 0, stopped.stderr
        assert name not in runs_in(bed)


def test_an_unknown_run_and_a_local_one_are_refused(project: Project, first_run: dict[str, Any]) -> None:
    refused = project.run("attach", "no-such-run")
    assert refused.returncode == 2
    assert "There is no run 'no-such-run'" in refused.stderr
