"""How a failed pod ended, for the error message of its step."""

from __future__ import annotations

from front_door.cluster.pod_end import end_of
from tests.unit.front_door.cluster.recorded import recorded


def test_a_container_above_its_memory_limit() -> None:
    found = end_of(recorded("oom"), [])
    assert found.killed
    assert "30Mi (OOMKilled)" in found.text
    assert "training.tokens_per_pass" in found.text


def test_a_killed_container() -> None:
    found = end_of(recorded("kill2"), ["step 3"])
    assert (found.text, found.killed) == ("its container was killed (SIGKILL)", True)


def test_an_evicted_pod_with_the_kubelets_reason() -> None:
    found = end_of(recorded("evict"), [])
    assert found.killed
    assert "evicted from the node node1 (The node was low on resource: memory)" in found.text


def test_a_pod_that_is_deleted_by_a_drain_or_a_person() -> None:
    pod = recorded("runs")
    pod.metadata.deletion_timestamp = pod.metadata.creation_timestamp
    found = end_of(pod, [])
    assert found.killed
    assert "deleted from the node node1: the node is drained" in found.text


def test_an_error_of_the_process_itself_with_the_end_of_its_log() -> None:
    found = end_of(recorded("exit1"), ["Traceback", "ValueError: bad"])
    assert not found.killed
    assert found.text.endswith("exit code 1. The last lines of its log: Traceback | ValueError: bad")
    assert "Its log is empty" in end_of(recorded("exit1"), []).text


def test_what_newer_clusters_say_about_a_pod_that_they_ended() -> None:
    """Kubernetes 1.26 and later has a condition for it; the recorded server does not."""
    from kubernetes.client import V1PodCondition

    pod = recorded("kill2")
    pod.status.conditions.append(
        V1PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="PreemptionByScheduler",
            message="preempted for api-1",
        )
    )
    assert "evicted from the node node1 (preempted for api-1)" in end_of(pod, []).text
