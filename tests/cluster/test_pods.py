"""What happens to the pod of a GPU step: where it is placed, and how training survives its end."""

from __future__ import annotations

import signal
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.cluster.bed import NAMESPACE, PULL_SECRET, ClusterBed
from tests.cluster.conftest import STACK
from tests.cluster.control_plane import NODE, PAUSE_IMAGE
from tests.front_door import Project, trained_steps, wait_for, wait_for_line
from tests.remote.bed import BUCKETS
from tests.remote.engines import run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

GPU = "nvidia.com/gpu"
STEPS = 300
OTHER_NODE = "without-gpu"


def gpu_pods(bed: ClusterBed) -> list[Any]:
    """Return the pods that request a GPU, with the newest last."""
    pods = bed.cluster.core().list_namespaced_pod(NAMESPACE).items
    found = [pod for pod in pods if GPU in (pod.spec.containers[0].resources.limits or {})]
    return sorted(found, key=lambda pod: pod.metadata.creation_timestamp)


def test_steps_that_run_a_model_request_the_gpu_of_their_node(
    bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    pods = gpu_pods(bed)
    assert {"finetune", "evaluate", "evaluate_baseline"} <= {pod.metadata.labels["step_name"] for pod in pods}
    for pod in pods:
        assert pod.spec.node_name == NODE
        assert pod.spec.containers[0].resources.requests[GPU] == "1"
        assert pod.status.phase == "Succeeded"


@pytest.fixture
def other_node(bed: ClusterBed) -> Iterator[str]:
    """Return the name of a node with more of everything but GPUs. No kubelet runs its pods."""
    core = bed.cluster.core()
    capacity = {"cpu": "64", "memory": "512Gi", "pods": "100"}
    core.create_node({"metadata": {"name": OTHER_NODE}})
    core.patch_node_status(
        OTHER_NODE,
        {"status": {"capacity": capacity, "conditions": [{"type": "Ready", "status": "True"}]}},
    )
    yield OTHER_NODE
    core.delete_node(OTHER_NODE)


def test_the_scheduler_places_a_gpu_step_by_its_request_alone(
    bed: ClusterBed, first_run: dict[str, Any], other_node: str
) -> None:
    template = next(pod for pod in gpu_pods(bed) if pod.metadata.labels["step_name"] == "finetune")
    for requests_gpu, expected in ((False, other_node), (True, NODE)):
        spec = bed.cluster.api().sanitize_for_serialization(template.spec)
        del spec["nodeName"]
        if not requests_gpu:
            for amounts in spec["containers"][0]["resources"].values():
                del amounts[GPU]
            spec["containers"][0]["resources"]["requests"]["cpu"] = "32"
        with pod_of(bed, spec) as name:
            message = reasons(bed, name, {"Scheduled"})["Scheduled"]
        assert message.endswith(f" to {expected}")


@contextmanager
def pod_of(bed: ClusterBed, spec: dict[str, Any]) -> Iterator[str]:
    """Create a pod, yield its name, and remove it."""
    core = bed.cluster.core()
    pod = {"metadata": {"generateName": "test-"}, "spec": spec}
    name = core.create_namespaced_pod(NAMESPACE, pod).metadata.name
    try:
        yield name
    finally:
        core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)


def reasons(bed: ClusterBed, pod: str, awaited: set[str]) -> dict[str, str]:
    """Return the messages of a pod's events by reason, as soon as one has an awaited reason."""
    for _ in range(120):
        events = bed.cluster.core().list_namespaced_event(
            NAMESPACE, field_selector=f"involvedObject.name={pod}"
        )
        found = {event.reason: str(event.message) for event in events.items}
        if awaited & found.keys():
            return found
        time.sleep(0.5)
    pytest.fail(f"{pod} has no event of {awaited}: {found}")


@pytest.fixture
def training(project: Project, first_run: dict[str, Any], request: pytest.FixtureRequest) -> Project:
    """Return a project that trains anew, alone, on what the first run has prepared."""
    own = project.with_settings(
        tracking={"experiment": request.node.name},
        training={"max_steps": STEPS, "checkpoint_steps": 10, "validations": 0},
    )
    return replace(own, settings=own.settings | {"seed": zlib.crc32(request.node.name.encode())})


def checkpoints(bed: ClusterBed) -> set[str]:
    listed = bed.s3.list_objects_v2(Bucket=BUCKETS[0], Prefix="checkpoints/")
    return {entry["Key"] for entry in listed.get("Contents", []) if entry["Key"].endswith("manifest.json")}


def started_and_past_a_checkpoint(bed: ClusterBed, training: Project) -> tuple[subprocess.Popen[str], Any]:
    """Return the process of the front door, and the pod that trains."""
    before = checkpoints(bed)
    process = training.start(*STACK, "--only", "finetune")
    wait_for(lambda: checkpoints(bed) - before, process)
    return process, gpu_pods(bed)[-1]


def went_on(process: subprocess.Popen[str], training: Project, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Insist on success, in one MLflow run; return the steps of its training, in order, with repetitions."""
    _, said = process.communicate(timeout=training.timeout_seconds)
    assert process.returncode == 0, said
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, training.environment[name])
    steps = trained_steps(training)
    assert set(steps) == set(range(1, STEPS + 1))
    return steps


def test_a_training_whose_container_is_killed_resumes_in_the_same_run(
    bed: ClusterBed, training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pod = started_and_past_a_checkpoint(bed, training)
    (container,) = bed.docker(
        "ps", "--quiet", "--filter", f"label=io.kubernetes.pod.uid={pod.metadata.uid}",
        "--filter", "label=io.kubernetes.container.name=main",
    ).split()  # fmt: skip
    bed.docker("kill", container)
    assert len(went_on(process, training, monkeypatch)) < 2 * STEPS


def test_a_training_whose_pod_is_drained_saves_a_checkpoint_first(
    bed: ClusterBed, training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, pod = started_and_past_a_checkpoint(bed, training)
    eviction = {"metadata": {"name": pod.metadata.name}}  # what `kubectl drain` creates
    bed.cluster.core().create_namespaced_pod_eviction(pod.metadata.name, NAMESPACE, eviction)
    steps = went_on(process, training, monkeypatch)
    assert len(steps) == STEPS, "no step is trained twice"


def test_a_training_ends_before_the_retry_of_the_pod_that_waits_for_it(
    bed: ClusterBed, training: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, trainer = started_and_past_a_checkpoint(bed, training)
    steps = bed.cluster.core().list_namespaced_pod(NAMESPACE, label_selector="step_name=finetune").items
    run_id = trainer.metadata.labels["run_id"]
    (waiting,) = (
        pod
        for pod in steps
        if pod.metadata.labels["run_id"] == run_id and pod.metadata.name != trainer.metadata.name
    )
    bed.cluster.core().delete_namespaced_pod(waiting.metadata.name, NAMESPACE)
    assert len(went_on(process, training, monkeypatch)) == STEPS, "no step is trained twice"
    retry = gpu_pods(bed)[-1]
    assert retry.metadata.name != trainer.metadata.name


def test_an_eviction_is_reported_as_such(bed: ClusterBed, training: Project) -> None:
    """The test writes what a kubelet writes: without control groups, this one cannot see what pods use."""
    process, pod = started_and_past_a_checkpoint(bed, training)
    reason = 'Usage of EmptyDir volume "cache" exceeds the limit "60Gi".'
    status = {"status": {"phase": "Failed", "reason": "Evicted", "message": reason}}
    bed.cluster.core().patch_namespaced_pod_status(pod.metadata.name, NAMESPACE, status)
    assert reason.rstrip(".") in wait_for_line("was evicted from the node", process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=training.timeout_seconds)
    assert process.returncode == 130, said


def test_a_pod_pulls_its_image_with_the_registrys_password(
    bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    image = f"{bed.environment['CONTAINER_REGISTRY']}/small:1"
    bed.docker("tag", PAUSE_IMAGE, image)
    run("docker", "push", image, env=bed.environment)
    bed.docker("rmi", image)
    template = next(pod for pod in gpu_pods(bed) if pod.metadata.labels["step_name"] == "finetune")
    assert template.spec.image_pull_secrets[0].name == PULL_SECRET
    for secrets, expected in (([], "Failed"), ([{"name": PULL_SECRET}], "Pulled")):
        container = {"name": "main", "image": image}
        spec = {"containers": [container], "imagePullSecrets": secrets}
        with pod_of(bed, spec) as name:
            assert expected in reasons(bed, name, {"Failed", "Pulled"})
