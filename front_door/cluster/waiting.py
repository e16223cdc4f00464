"""What a pod waits for, from its status and its events, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PULL_FAILED = ("ErrImagePull", "ImagePullBackOff")
STARTING = ("ContainerCreating", "PodInitializing")
REFUSED_POD = re.compile(r'^Error creating: (pods "[^"]*" is forbidden: )?')
"""The Job controller's event has the name of the pod in it, which is another one at each attempt."""
LONGEST_MESSAGE = 400
MOST_STEPS_NAMED = 3


@dataclass(frozen=True)
class Waiting:
    """Why something does not start: in short, in the words of Kubernetes, and what to do."""

    reason: str
    message: str
    advice: str

    def of(self, steps: Sequence[str]) -> str:
        """Return the line for the steps that wait for this."""
        shown, more = steps[:MOST_STEPS_NAMED], len(steps) - MOST_STEPS_NAMED
        names = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        said = f" ({self.message[:LONGEST_MESSAGE].rstrip('. ')})" if self.message else ""
        return f"waiting: {names}: {self.reason}{said}.{f' {self.advice}' if self.advice else ''}"


CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"exceeded quota",
        "the namespace's quota is used up",
        "It starts when other pods end, or a larger quota is set: `kubectl describe quota`",
    ),
    (
        r"serviceaccount .*not found",
        "its service account does not exist",
        "Create it, or correct KUBERNETES_SERVICE_ACCOUNT",
    ),
    (
        r"RuntimeClass .*not found|RuntimeHandler",
        "the cluster does not have its runtime class",
        "Correct GPU_RUNTIME_CLASS and start the run again",
    ),
    (
        r"persistentvolumeclaim .*not found|unbound immediate PersistentVolumeClaims",
        "its volume claim is missing or not bound",
        "Create the claim of GPU_CACHE_VOLUME (docker/kubernetes/cache.yaml), or correct its storage class",
    ),
    (
        r"node\.kubernetes\.io/\w+-pressure",
        "the nodes are short of memory, disk or processes",
        "It starts when that ends: `kubectl describe nodes`",
    ),
    (
        r"Insufficient nvidia\.com/gpu",
        "no node has a free GPU",
        "It starts when one is free. If it should be, check GPU_NODE_SELECTOR and GPU_TOLERATIONS",
    ),
    (
        r"FailedScheduling|Unschedulable",
        "no node can take it",
        "Compare its requests, node selector and tolerations (stacks/gpu.yaml) with `kubectl describe nodes`",
    ),
    (
        r"InvalidImageName",
        "the image's name is wrong",
        "Correct CONTAINER_REGISTRY and start the run again",
    ),
    (
        r"unauthorized|authentication required|no basic auth|access denied|denied:|40[13] ",
        "the registry refuses the credentials",
        "Correct the image pull secret: the node tries again by itself",
    ),
    (
        r"pull.*(not found|manifest unknown|does not exist)",
        "the image is not in the registry",
        "Push it, or stop the run and start it again: that builds it",
    ),
    (
        r"Pull",
        "the image cannot be pulled",
        "The node tries again by itself. Check that it reaches the registry",
    ),
    (
        r"secret .*not found|references non-existent secret",
        "a secret is missing",
        "Create it: the node tries again by itself",
    ),
    (
        r"configmap .*not found",
        "a config map is missing",
        "Create it: the node tries again by itself",
    ),
    (
        r"FailedMount|FailedAttachVolume|CreateContainerConfigError",
        "a volume or its configuration cannot be set up",
        "The node tries again by itself: `kubectl describe pod`",
    ),
    (
        r"FailedCreate:",
        "the API server refuses its pod",
        "Correct what it names: Kubernetes tries again by itself",
    ),
)
"""What Kubernetes' reason and message match, what that means, and what to do. The first match counts."""


def waits_of_job(events: Sequence[Any]) -> Waiting | None:
    """Return why a job has no pod; None if there is no reason yet."""
    refused = [event for event in events if event.reason == "FailedCreate"]
    return _cause("FailedCreate", REFUSED_POD.sub("", refused[-1].message)) if refused else None


def waits_of_pod(pod: Any, events: Sequence[Any]) -> Waiting | None:
    """Return what a pending pod waits for; None if it is about to start."""
    containers = pod.status.container_statuses or []
    for state in (container.state.waiting for container in containers):
        if state and state.reason in PULL_FAILED:
            # Between two attempts the state is a back-off; the event of the last attempt has the cause.
            attempts = [event for event in events if event.message.startswith("Failed to pull image")]
            return _cause("Pull", attempts[-1].message if attempts else state.message or state.reason)
        if state and state.reason not in STARTING:
            return _cause(state.reason, state.message or "")
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return _cause(condition.reason or "FailedScheduling", condition.message or "")
    # What happened once may be over: a node often mounts a secret at its second attempt.
    troubles = [event for event in events if event.reason.startswith("Failed") and event.count != 1]
    if troubles:
        return _cause(troubles[-1].reason, troubles[-1].message)
    if events and events[-1].reason == "Pulling":
        return Waiting(events[-1].message[:1].lower() + events[-1].message[1:], "", "")
    return None


def new_lines(waits: Mapping[str, Waiting], before: Mapping[str, Waiting]) -> Iterable[str]:
    """Return a line for each wait that is not what its step waited for before."""
    changed = {step: found for step, found in waits.items() if before.get(step) != found}
    for found in dict.fromkeys(changed.values()):
        yield found.of([step for step, other in changed.items() if other == found])


def _cause(reason: str, message: str) -> Waiting:
    text = f"{reason}: {message}"
    for pattern, meaning, advice in CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return Waiting(meaning, message or reason, f"{advice}.")
    return Waiting(reason, message, "`kubectl describe pod` shows more.")
