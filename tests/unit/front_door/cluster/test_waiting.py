"""What a run says while its pods wait: a line for each change, with what to do."""

from __future__ import annotations

import pytest

from front_door.cluster.waiting import Waiting, new_lines, waits_of_job, waits_of_pod
from tests.unit.front_door.cluster.recorded import events_of, recorded

POD_CAUSES = {
    "gpu": (
        "no node has a free GPU",
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu",
        "GPU_NODE_SELECTOR",
    ),
    "cpu": ("no node can take it", "1 Insufficient cpu", "stacks/gpu.yaml"),
    "selector": ("no node can take it", "didn't match Pod's node affinity", "node selector"),
    "pressure": ("nodes are short of memory", "node.kubernetes.io/memory-pressure", "kubectl describe nodes"),
    "claim": (
        "volume claim is missing",
        '"review-sentiment-cache" not found',
        "docker/kubernetes/cache.yaml",
    ),
    "noimage": ("image cannot be pulled", "connection refused", "tries again by itself"),
    "auth": ("registry refuses the credentials", "no basic auth credentials", "image pull secret"),
    "notfound": ("image is not in the registry", "manifest unknown", "builds it"),
    "badname": ("image's name is wrong", "repository name must be lowercase", "CONTAINER_REGISTRY"),
    "secret": ("secret is missing", 'secret "token" not found', "Create it"),
    "secretvolume": ("secret is missing", 'secret "nothere" not found', "Create it"),
}
JOB_CAUSES = {
    "quota": ("quota is used up", "limited: requests.nvidia.com/gpu=2", "kubectl describe quota"),
    "account": (
        "service account does not exist",
        'serviceaccount "nobody" not found',
        "KUBERNETES_SERVICE_ACCOUNT",
    ),
    "runtimeclass": (
        "does not have its runtime class",
        'RuntimeClass "nvidia" not found',
        "GPU_RUNTIME_CLASS",
    ),
}


@pytest.mark.parametrize(("name", "expected"), POD_CAUSES.items())
def test_a_pods_cause_is_named_in_kubernetes_words_with_advice(name: str, expected: tuple[str, ...]) -> None:
    found = waits_of_pod(recorded(name), events_of(name))
    assert found is not None
    line = found.of(["finetune"])
    assert line.startswith("waiting: finetune: ")
    assert all(part in line for part in expected)
    assert "\n" not in line


@pytest.mark.parametrize(("name", "expected"), JOB_CAUSES.items())
def test_a_job_without_a_pod_is_explained(name: str, expected: tuple[str, ...]) -> None:
    found = waits_of_job(events_of(name))
    assert found is not None
    assert all(part in found.of(["finetune"]) for part in expected)


def test_a_quota_that_refuses_again_is_no_news() -> None:
    """Each attempt of the Job controller has the name of another pod in its message."""
    events = events_of("quota")
    attempts = {event.message for event in events}
    assert len(attempts) > 1
    assert len({waits_of_job([event]) for event in events if event.reason == "FailedCreate"}) == 1


def test_a_pull_that_fails_again_is_no_news() -> None:
    """Between two attempts, the pod's state is a back-off that does not have the cause."""
    pod, events = recorded("noimage"), events_of("noimage")
    found = set()
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        pod.status.container_statuses[0].state.waiting.reason = reason
        found.add(waits_of_pod(pod, events))
    assert len(found) == 1


def test_a_mount_that_fails_once_is_no_reason_to_wait() -> None:
    pod, events = recorded("secretvolume"), events_of("secretvolume")
    for event in events:
        event.count = 1
    assert waits_of_pod(pod, events) is None


def test_a_warning_that_delays_nothing_is_no_reason_to_wait() -> None:
    events = events_of("secretvolume")
    for event in events:
        event.type, event.reason = "Warning", "MissingClusterDNS"
    assert waits_of_pod(recorded("secretvolume"), events) is None


def test_a_pod_that_starts_waits_for_nothing() -> None:
    assert waits_of_pod(recorded("runs"), events_of("runs")) is None


def test_only_changes_are_said_and_steps_with_the_same_cause_share_a_line() -> None:
    no_gpu, no_image = Waiting("no GPU", "0/1 nodes", "Wait."), Waiting("no image", "", "Push it.")
    before = {"a": no_gpu}
    after = {"a": no_gpu, "b": no_image, "c": no_image, "d": no_image, "e": no_image}
    assert list(new_lines(after, before)) == ["waiting: b, c, d and 1 more: no image. Push it."]
    assert list(new_lines(after, after)) == []
