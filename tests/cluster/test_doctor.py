"""An empty cluster passes `doctor` after one command; what a run lacks there ends it with code 2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from front_door.doctor.cluster.access import HttpRequest, to_mlflow, to_s3
from front_door.doctor.cluster.checks import PROBES, check_cluster, require_cluster
from front_door.doctor.cluster.connection import StackCluster, cluster_of_stack
from front_door.doctor.cluster.probe import ask_from_a_pod, check_from_a_pod
from front_door.stack.files import read_stack
from review_sentiment.errors import ReviewSentimentError, UsageError
from tests.cluster.bed import ClusterBed
from tests.cluster.namespaces import kubeconfig_of_account, namespace
from tests.front_door import Project

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
CACHE = "{name: cache, persistentVolumeClaim: {claimName: review-sentiment-cache}}"


@pytest.fixture
def team(bed: ClusterBed, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield a namespace that the stack `gpu` names."""
    with namespace(bed.cluster.kubeconfig, directory) as name:
        own = {"KUBERNETES_NAMESPACE": name, "IMAGE_PULL_SECRET": ""}
        for variable, value in (bed.environment | own).items():
            monkeypatch.setenv(variable, value)
        use_kubeconfig(bed.cluster.kubeconfig, monkeypatch)
        yield name


def use_kubeconfig(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the file: the Kubernetes package reads KUBECONFIG when it is imported."""
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))


def cluster() -> StackCluster:
    found = cluster_of_stack(read_stack("gpu"))
    assert found is not None
    return found


def test_one_command_makes_a_namespace_that_passes(team: str) -> None:
    found = {check.name: check for check in check_cluster(cluster())}
    assert [check for check in found.values() if not check.ok] == []
    assert list(found) == list(PROBES)
    assert found["quota"].found == "requests.nvidia.com/gpu: 0 of 4 in use"
    assert "not checked" not in " ".join(check.found for check in found.values())


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("KUBERNETES_CONTEXT", "test", r"Did you mean 'tests'\?"),
        ("KUBERNETES_NAMESPACE", "nowhere", "has no namespace nowhere"),
        ("KUBERNETES_SERVICE_ACCOUNT", "default", r"account default .* may not create jobs\.batch, "),
        ("IMAGE_PULL_SECRET", "missing", "IMAGE_PULL_SECRET=missing does not exist"),
        ("GPU_RUNTIME_CLASS", "nvidia", "GPU_RUNTIME_CLASS=nvidia is not a runtime class"),
        ("GPU_NODE_SELECTOR", "{gpu: h100}", "label gpu is missing, not h100"),
        ("GPU_CACHE_VOLUME", CACHE, "asks for the default storage class"),
        (
            "GPU_CACHE_VOLUME",
            CACHE.replace("review", "my-review"),
            "names the claim my-review-sentiment-cache",
        ),
    ],
)
def test_a_name_that_the_cluster_does_not_have_is_wrong_usage(
    team: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=message) as raised:
        require_cluster(cluster())
    assert "\n" not in str(raised.value)


def test_a_quota_without_gpus_is_refused(bed: ClusterBed, team: str) -> None:
    none = {"spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}
    client.CoreV1Api(bed.cluster.api()).patch_namespaced_resource_quota("zenml", team, none)
    with pytest.raises(UsageError, match=r"quota zenml .* allows 0 of requests\.nvidia\.com/gpu"):
        require_cluster(cluster())


def test_a_person_without_rights_is_told_which_are_missing(
    bed: ClusterBed, team: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(kubeconfig_of_account(bed.cluster.kubeconfig, team, "default"), monkeypatch)
    with pytest.raises(UsageError, match=r"You may not create jobs\.batch, .*--clusterrole=edit"):
        require_cluster(cluster())


def test_the_advised_role_is_enough_for_a_run(
    bed: ClusterBed, team: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not list nodes or review the rights of others, which a run does not need."""
    binding = {
        "metadata": {"name": "review-sentiment"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": team}],
    }
    client.RbacAuthorizationV1Api(bed.cluster.api()).create_namespaced_role_binding(team, binding)
    use_kubeconfig(kubeconfig_of_account(bed.cluster.kubeconfig, team, "default"), monkeypatch)
    require_cluster(cluster())
    found = {check.name: check for check in check_cluster(cluster())}
    hidden = {name for name, check in found.items() if check.found.startswith("not checked")}
    assert hidden == {"account", "GPU nodes"}


def test_a_claim_is_bound_or_its_storage_class_is_unknown(
    bed: ClusterBed, team: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_CACHE_VOLUME", "{name: cache, persistentVolumeClaim: {claimName: models}}")
    core = client.CoreV1Api(bed.cluster.api())
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"metadata": {"name": "models"}, "spec": spec | {"storageClassName": "ssd"}}
    core.create_namespaced_persistent_volume_claim(team, claim)
    with pytest.raises(UsageError, match="claim models asks for the storage class ssd, "):
        require_cluster(cluster())

    later = {"metadata": {"name": "ssd"}, "provisioner": "none", "volumeBindingMode": "WaitForFirstConsumer"}
    storage = client.StorageV1Api(bed.cluster.api())
    storage.create_storage_class(later)
    try:
        require_cluster(cluster())
    finally:
        storage.delete_storage_class("ssd")


def require_nothing_left(bed: ClusterBed, team: str) -> None:
    """Check that the job and the secret with its requests are deleted."""
    assert client.BatchV1Api(bed.cluster.api()).list_namespaced_job(team).items == []
    secrets = client.CoreV1Api(bed.cluster.api()).list_namespaced_secret(team).items
    assert [one for one in secrets if "doctor" in one.metadata.name] == []


def test_a_pod_reports_which_requests_fail_and_is_deleted(bed: ClusterBed, team: str) -> None:
    urls = f"{bed.environment['MLFLOW_TRACKING_URI']}/health", "http://127.0.0.1:9"
    answers = ask_from_a_pod(
        cluster(), bed.environment["BASE_IMAGE"], [HttpRequest("GET", url) for url in urls]
    )
    assert answers[0] is None
    assert "refused" in str(answers[1])
    require_nothing_left(bed, team)


def test_a_pod_signs_in_at_each_service(bed: ClusterBed, team: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services refuse a wrong password, and a signature that is not the store's."""
    services = [to_s3(read_stack("gpu")), to_mlflow(read_stack("gpu"))]
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    services.append(to_mlflow(read_stack("gpu")))
    unsigned = [replace(one, url=one.url.partition("?")[0]) for one in services[0].requests]
    services.append(replace(services[0], requests=tuple(unsigned)))
    pod, *found = check_from_a_pod(cluster(), bed.environment["BASE_IMAGE"], services)
    assert pod.ok
    assert [check.ok for check in found] == [True, True, False, False]
    assert [check.found.rpartition(": ")[2] for check in found] == [
        *("written, read, deleted", "signed in", "HTTP 401 Unauthorized", "HTTP 403 Forbidden")
    ]
    require_nothing_left(bed, team)


@pytest.mark.parametrize(
    ("image", "changes", "message"),
    [
        ("127.0.0.1:1/missing:1", {}, "cannot start.*Failed to pull image.*IMAGE_PULL_SECRET"),
        ("", {"account": "nobody"}, r'did not start .*serviceaccount "nobody" not found'),
    ],
)
def test_a_pod_that_does_not_start_is_reported_with_kubernetes_reason_and_deleted(
    bed: ClusterBed,
    team: str,
    monkeypatch: pytest.MonkeyPatch,
    image: str,
    changes: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr("front_door.doctor.cluster.probe.SECONDS_TO_FINISH", 30)
    with pytest.raises(ReviewSentimentError, match=message):
        ask_from_a_pod(replace(cluster(), **changes), image or bed.environment["BASE_IMAGE"], [])
    require_nothing_left(bed, team)


def test_doctor_checks_the_cluster_and_the_services_from_a_pod(project: Project) -> None:
    finished = project.run("doctor", "--stack", "gpu", "--config", str(project.config), "--json")
    found = {check["name"]: check for check in json.loads(finished.stdout)}
    assert [check for check in found.values() if not check["ok"]] == []
    assert finished.returncode == 0
    assert {*PROBES, "pod", "S3 in pod", "MLflow in pod", "ZenML in pod"} <= set(found)


def test_a_run_with_a_wrong_name_ends_with_code_2_and_submits_nothing(
    bed: ClusterBed, project: Project
) -> None:
    wrong = replace(project, services={**project.services, "IMAGE_PULL_SECRET": "missing"})
    jobs = client.BatchV1Api(bed.cluster.api()).list_job_for_all_namespaces
    before = len(jobs().items)
    finished = wrong.run("--stack", "gpu", "--config", str(project.config))
    assert finished.returncode == 2
    assert (
        finished.stderr.rstrip().splitlines()[-1].startswith("error: IMAGE_PULL_SECRET=missing does not ex")
    )
    assert len(jobs().items) == before
