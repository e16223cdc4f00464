"""How a failed pod ended."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FATAL_SIGNAL = 128
"""Above it, an exit code is the number of the signal that ended the process."""
RESOURCES = "the limits and requests in stacks/gpu.yaml"


@dataclass(frozen=True)
class PodEnd:
    """How a pod ended, and what to do; if it was not `killed`, its process has reported an error."""

    text: str
    killed: bool


def end_of(pod: Any, last_lines: Iterable[str]) -> PodEnd:
    """Return how a pod ended that failed or is being deleted; its log ends with these lines."""
    if pod.metadata.deletion_timestamp:
        return PodEnd(
            f"its pod is being deleted from the node {pod.spec.node_name}: the node is drained, a pod of "
            "higher priority needs its place, or somebody deleted it",
            killed=True,
        )
    ended, disruption = _terminated(pod), _disruption(pod)
    if pod.status.reason == "Evicted" or disruption:
        said = (pod.status.message or disruption).strip().rstrip(".")
        return PodEnd(
            f"its pod was evicted from the node {pod.spec.node_name} ({said}): free memory or disk there, or "
            f"raise {RESOURCES}",
            killed=True,
        )
    if ended is None:
        return PodEnd(f"its pod failed ({pod.status.message or pod.status.reason})", killed=True)
    if ended.reason == "OOMKilled":
        limit = (pod.spec.containers[0].resources.limits or {}).get("memory", "that of the node")
        return PodEnd(
            f"its container needed more than its memory limit, {limit} (OOMKilled): raise {RESOURCES}, or "
            "lower training.tokens_per_pass",
            killed=True,
        )
    if ended.exit_code > FATAL_SIGNAL:
        return PodEnd(f"its container was killed ({_signal(ended.exit_code - FATAL_SIGNAL)})", killed=True)
    lines = " | ".join(line.strip() for line in last_lines)
    log = f"The last lines of its log: {lines}" if lines else "Its log is empty"
    return PodEnd(f"its container ended with exit code {ended.exit_code}. {log}", killed=False)


def _terminated(pod: Any) -> Any:
    states = [container.state for container in pod.status.container_statuses or []]
    return next((state.terminated for state in states if state.terminated), None)


def _disruption(pod: Any) -> str:
    """Return what Kubernetes (1.26 and later) says about a pod that it ended."""
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return str(condition.message or condition.reason)
    return ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
