"""docker/kubernetes on a real API server: a namespace with the rights that runs use, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from front_door.doctor.cluster.rights import OF_PODS
from tests.cluster.bed import ClusterBed
from tests.cluster.namespaces import kubeconfig_of_account, namespace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
OF_EVERYONE = {
    ("create", "selfsubjectaccessreviews", "authorization.k8s.io"),
    ("create", "selfsubjectrulesreviews", "authorization.k8s.io"),
}
"""What Kubernetes allows every account."""


@pytest.fixture(scope="module")
def team(bed: ClusterBed, directory: Path) -> Iterator[str]:
    with namespace(bed.cluster.kubeconfig, directory) as name:
        yield name


@pytest.fixture(scope="module")
def as_pods(bed: ClusterBed, team: str) -> Any:
    """Return a client that signs in as the account of a run's pods."""
    return config.new_client_from_config(str(kubeconfig_of_account(bed.cluster.kubeconfig, team, "zenml")))


@pytest.mark.parametrize("place", ["team", "default", "kube-system"])
def test_the_account_of_pods_has_the_rights_that_zenml_uses_in_its_namespace_and_no_others(
    as_pods: Any, team: str, place: str
) -> None:
    where = team if place == "team" else place
    review = client.AuthorizationV1Api(as_pods).create_self_subject_rules_review(
        {"spec": {"namespace": where}}
    )
    assert not review.status.incomplete
    granted = {
        (verb, resource, group)
        for rule in review.status.resource_rules
        for verb in rule.verbs
        for resource in rule.resources
        for group in rule.api_groups
    }
    expected = {(right.verb, right.resource, right.group) for right in OF_PODS} if place == "team" else set()
    assert granted - OF_EVERYONE == expected


def test_a_pod_cannot_read_secrets_or_other_namespaces(as_pods: Any, team: str) -> None:
    core, batch = client.CoreV1Api(as_pods), client.BatchV1Api(as_pods)
    assert core.list_namespaced_pod(team).items == []
    assert batch.list_namespaced_job(team).items == []
    for forbidden in (
        lambda: core.list_namespaced_secret(team),
        lambda: core.read_namespaced_secret("any", team),
        core.list_secret_for_all_namespaces,
        core.list_node,
        lambda: core.list_namespaced_pod("default"),
        lambda: batch.list_namespaced_job("default"),
        lambda: core.create_namespaced_pod(team, {"metadata": {"name": "own"}, "spec": {"containers": []}}),
        lambda: core.connect_post_namespaced_pod_exec("any", team, command="id"),
    ):
        with pytest.raises(client.ApiException) as refused:
            forbidden()
        assert refused.value.status == 403


def test_the_quota_refuses_more_gpus_than_it_allows(bed: ClusterBed, team: str) -> None:
    core = client.CoreV1Api(bed.cluster.api())
    five = {"nvidia.com/gpu": "5"}
    container = {"name": "main", "image": "any", "resources": {"requests": five, "limits": five}}
    pod = {"metadata": {"name": "five"}, "spec": {"containers": [container]}}
    with pytest.raises(client.ApiException, match=r"exceeded quota: zenml, .*nvidia\.com/gpu"):
        core.create_namespaced_pod(team, pod)
