"""A schedule on a real API server: ZenML's CronJob is created, and the job that it starts runs the pipeline.

Kubernetes 1.20 serves CronJobs as batch/v1beta1 only, and ZenML (0.98) makes those of batch/v1. So a newer
schema judges the object in tests/unit/front_door/test_kubernetes_manifests.py. Here, commands send it to
batch/v1beta1, and its job template is started as a job, as the controller does when it is due.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from kubernetes import client

from front_door.cluster.pods import is_finished
from tests.cluster.bed import NAMESPACE, ClusterBed
from tests.cluster.conftest import STACK
from tests.front_door import Project

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]
TO_BETA = """
from kubernetes.client import ApiClient

call_api = ApiClient.call_api

def call_beta(self, path, *arguments, **options):
    if path.startswith("/apis/batch/v1/") and "cronjobs" in path:
        path = path.replace("/v1/", "/v1beta1/", 1)
        if hasattr(options.get("body"), "api_version"):
            options["body"].api_version = "batch/v1beta1"
    return call_api(self, path, *arguments, **options)

ApiClient.call_api = call_beta
"""
SECONDS_TO_RUN = 900
SECONDS_TO_DELETE = 120


def cron_jobs(bed: ClusterBed) -> list[dict[str, Any]]:
    objects = client.CustomObjectsApi(bed.cluster.api())
    listed = objects.list_namespaced_custom_object("batch", "v1beta1", NAMESPACE, "cronjobs")
    return list(listed["items"])


def tokens(bed: ClusterBed) -> set[str]:
    secrets = client.CoreV1Api(bed.cluster.api()).list_namespaced_secret(NAMESPACE).items
    return {each.metadata.name for each in secrets if each.metadata.name.startswith("zenml-token-")}


def schedule(project: Project, *arguments: str) -> list[dict[str, str]]:
    """Run a command, require success, and return the schedules that it prints."""
    finished = project.run("schedule", *arguments, *STACK, "--json", before=TO_BETA)
    assert finished.returncode == 0, finished.stderr
    found: list[dict[str, str]] = json.loads(finished.stdout)
    return found


def test_a_cluster_that_is_too_old_is_refused_before_anything_is_created(
    bed: ClusterBed, project: Project
) -> None:
    finished = project.run(
        "schedule", "add", "nightly", "30 2 * * 1-5", *STACK, "--config", str(project.config)
    )
    assert finished.returncode == 2
    assert "has no CronJob in batch/v1, which schedules need. Update it to 1.21" in finished.stderr
    assert cron_jobs(bed) == []


def test_a_wrong_expression_is_refused_in_kubernetes_words(bed: ClusterBed, project: Project) -> None:
    arguments = ("schedule", "add", "nightly", "61 2 * * *", *STACK, "--config", str(project.config))
    finished = project.run(*arguments, before=TO_BETA)
    assert finished.returncode == 2
    (line,) = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: '61 2 * * *' is not a cron expression. ")
    assert "above maximum" in line
    assert cron_jobs(bed) == []


def test_a_schedule_is_added_runs_is_listed_and_removed(
    bed: ClusterBed, project: Project, first_run: dict[str, Any]
) -> None:
    before = tokens(bed)
    added = ("add", "nightly", "30 2 * * 1-5", "--config", str(project.config), "--rerun", "data_report")
    (listed,) = schedule(project, *added)
    assert (listed["name"], listed["cron"], listed["last"]) == ("nightly", "30 2 * * 1-5", "")
    (cron_job,) = cron_jobs(bed)
    assert cron_job["metadata"]["name"] == listed["cron_job"]
    assert cron_job["spec"]["schedule"] == "30 2 * * 1-5"
    (token,) = tokens(bed) - before

    batch = client.BatchV1Api(bed.cluster.api())
    template = cron_job["spec"]["jobTemplate"]
    batch.create_namespaced_job(NAMESPACE, template | {"metadata": {"name": "nightly-due"}})
    finish(batch, "nightly-due")
    jobs = batch.list_namespaced_job(NAMESPACE).items
    runs = {(each.metadata.labels or {}).get("run_name", "") for each in jobs}
    (name,) = [run for run in runs if run.startswith("nightly-")]
    followed = json.loads(project.run("attach", name, "--json").stdout)
    assert followed["status"] == "completed"
    assert {step: one["status"] for step, one in followed["steps"].items() if one["status"] != "cached"} == {
        "data_report": "completed"
    }

    refused = project.run("schedule", *added, *STACK, before=TO_BETA)
    assert refused.returncode == 2
    assert "There is a schedule 'nightly' already." in refused.stderr
    unknown = project.run("schedule", "remove", "nigthly", *STACK, before=TO_BETA)
    assert unknown.returncode == 2
    assert "There is no schedule 'nigthly'. Did you mean 'nightly'? Schedules: nightly." in unknown.stderr

    assert schedule(project, "list") == [listed]
    assert schedule(project, "remove", "nightly") == []
    deadline = time.monotonic() + SECONDS_TO_DELETE
    while cron_jobs(bed):  # batch/v1beta1 leaves the deletion to the garbage collector; batch/v1 does not
        assert time.monotonic() < deadline, "the CronJob is still there"
        time.sleep(1)
    assert token not in tokens(bed)


def finish(batch: Any, job: str) -> None:
    """Wait for a job, and require success."""
    deadline = time.monotonic() + SECONDS_TO_RUN
    while time.monotonic() < deadline:
        found = batch.read_namespaced_job(job, NAMESPACE)
        if is_finished(found):
            assert found.status.succeeded == 1, found.status
            return
        time.sleep(1)
    pytest.fail(f"{job} did not finish in {SECONDS_TO_RUN} s")
