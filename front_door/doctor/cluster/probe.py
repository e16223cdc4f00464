"""Checks the access to services from a pod: a short job in the cluster, which is always deleted."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from front_door.doctor.checks import Check, run_check
from front_door.doctor.cluster import reach
from front_door.doctor.cluster.access import HttpRequest, ServiceAccess
from front_door.doctor.cluster.connection import StackCluster
from review_sentiment.errors import ReviewSentimentError

SECONDS_TO_FINISH = 180
"""For a node to pull the image and to run the probe."""
SECONDS_BETWEEN_LOOKS = 1.0
NOT_RECOVERABLE = ("InvalidImageName", "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError")
REFUSED = "The service refuses pods the credentials that it accepts from here. Does it restrict addresses?"
UNREACHABLE = "Pods must reach it under this address; 127.0.0.1 and localhost are the pod itself."
SECRET_KEY = "requests"
RESOURCES = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}


def check_from_a_pod(cluster: StackCluster, image: str, services: Sequence[ServiceAccess]) -> Iterator[Check]:
    """Yield whether a pod starts with the image, and whether it has access to each service."""
    answers: list[str | None] = []

    def start() -> str:
        answers.extend(ask_from_a_pod(cluster, image, [one for each in services for one in each.requests]))
        return f"{image} started"

    check = run_check("pod", start)
    yield check
    if check.ok:
        left = iter(answers)
        for service in services:
            problems = list(filter(None, islice(left, len(service.requests))))
            problem = problems[0] if problems else ""
            found = f"{service.address}: {problem or service.success}"
            advice = REFUSED if problem.startswith("HTTP 4") else UNREACHABLE
            yield Check(f"{service.name} in pod", not problem, found, advice)


def ask_from_a_pod(cluster: StackCluster, image: str, requests: Sequence[HttpRequest]) -> list[str | None]:
    """Return why each request fails in a pod without a GPU; None for one that succeeds.

    The requests travel in a secret, as they have credentials.

    Raises:
        ReviewSentimentError: the pod did not start or failed; the message has Kubernetes' reason.
    """
    from kubernetes import client

    name, namespace = f"review-sentiment-doctor-{uuid.uuid4().hex[:8]}", cluster.namespace
    core, jobs = client.CoreV1Api(cluster.api), client.BatchV1Api(cluster.api)
    secret = {"metadata": {"name": name}, "stringData": {SECRET_KEY: json.dumps(list(map(asdict, requests)))}}
    cluster.ask(core.create_namespaced_secret, namespace, secret)
    try:
        job = cluster.ask(jobs.create_namespaced_job, namespace, _job(cluster, name, image))
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job.metadata.uid}
        # If this process is killed, Kubernetes deletes the secret with the job.
        cluster.ask(core.patch_namespaced_secret, name, namespace, {"metadata": {"ownerReferences": [owner]}})
        return json.loads(_log_of(cluster, name))  # type: ignore[no-any-return]
    finally:
        cluster.ask(jobs.delete_namespaced_job, name, namespace, propagation_policy="Background")
        cluster.ask(core.delete_namespaced_secret, name, namespace)


def _job(cluster: StackCluster, name: str, image: str) -> Any:
    """Return the job as ZenML makes those of steps, so that the stack's settings of pods apply.

    The secret of the same name has the requests.
    """
    from zenml.integrations.kubernetes.manifest_utils import (
        build_job_manifest,
        build_pod_manifest,
        pod_template_manifest_from_pod,
    )
    from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings

    requests = {"name": reach.VARIABLE, "valueFrom": {"secretKeyRef": {"name": name, "key": SECRET_KEY}}}
    pod = build_pod_manifest(
        pod_name=None,
        image_name=image,
        command=["python3", "-c", Path(reach.__file__).read_text(encoding="utf-8")],
        args=[],
        privileged=False,
        pod_settings=KubernetesPodSettings(**{**cluster.pods, "resources": RESOURCES, "env": [requests]}),
        service_account_name=cluster.account,
    )
    return build_job_manifest(
        name,
        pod_template_manifest_from_pod(pod),
        backoff_limit=0,
        active_deadline_seconds=SECONDS_TO_FINISH,
        ttl_seconds_after_finished=SECONDS_TO_FINISH,  # if this process is killed
    )


def _log_of(cluster: StackCluster, job: str) -> str:
    """Wait for the job's pod to finish, and return its log."""
    from kubernetes import client
    from zenml.integrations.kubernetes.kube_utils import (
        get_container_status,
        get_pod_failure_details,
        get_pod_pending_details,
    )

    core = client.CoreV1Api(cluster.api)
    stop = time.monotonic() + SECONDS_TO_FINISH
    waiting_for = "the job controller made no pod"
    while time.monotonic() < stop:
        listed = cluster.ask(core.list_namespaced_pod, cluster.namespace, label_selector=f"job-name={job}")
        for pod in listed.items:
            if pod.status.phase == "Succeeded":
                # The client would parse the log if it is JSON, and return it as Python prints it.
                log = cluster.ask(
                    core.read_namespaced_pod_log,
                    pod.metadata.name,
                    cluster.namespace,
                    _preload_content=False,
                )
                return str(log.data.decode())
            if pod.status.phase == "Failed":
                details = get_pod_failure_details(pod, "main")
                raise ReviewSentimentError(f"A pod with the image of the check failed: {details}.")
            waiting_for = get_pod_pending_details(pod, "main") or waiting_for
            state = get_container_status(pod, "main")
            if state and state.waiting and state.waiting.reason in NOT_RECOVERABLE:
                raise ReviewSentimentError(
                    f"A pod cannot start ({state.waiting.reason}): {_warning(cluster, pod.metadata.name)} "
                    "If the registry asks for a password, set IMAGE_PULL_SECRET to a secret of the namespace "
                    "that has it (docs/gpu.md)."
                )
        time.sleep(SECONDS_BETWEEN_LOOKS)
    reason = f"{waiting_for}. {_warning(cluster, job)}"
    raise ReviewSentimentError(f"A pod did not start within {SECONDS_TO_FINISH} s: {reason}")


def _warning(cluster: StackCluster, name: str) -> str:
    """Return the last warning about an object that has a reason, "" if there is none."""
    from kubernetes import client

    listed = client.CoreV1Api(cluster.api).list_namespaced_event
    events = cluster.ask(listed, cluster.namespace, field_selector=f"involvedObject.name={name},type=Warning")
    # The kubelet repeats a reason as "Error: ImagePullBackOff".
    messages = [event.message for event in events.items if not event.message.startswith("Error: ")]
    return f"{messages[-1].rstrip('.')}." if messages else ""


def last_built_image(stack: str) -> str | None:
    """Return the image that was built last for a stack of this name; None if there is none."""
    from operators.zenml_store import connect

    client = connect()
    stacks = client.list_stacks(name=stack).items
    if not stacks:
        return None
    builds = client.list_builds(stack_id=stacks[0].id, sort_by="desc:created", size=1, hydrate=True).items
    return next((item.image for build in builds for item in build.images.values()), None)
