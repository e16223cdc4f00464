"""Whether a GPU step's pod has room: on a node that suits it, and within the namespace's quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from front_door.doctor.cluster.connection import StackCluster

GPU = "nvidia.com/gpu"
KEEPS_AWAY = ("NoSchedule", "NoExecute")
AUTOSCALER_STATUS = ("cluster-autoscaler-status", "kube-system")
"""The name and namespace of the ConfigMap that Kubernetes' autoscaler writes, also on GKE and AKS."""
KARPENTER = ("karpenter.sh", "v1", "nodepools")


def check_gpus(cluster: StackCluster) -> str:
    """Return how many GPUs are on nodes that suit a GPU step's pod, or what may add such a node.

    Raises:
        NotAllowedError: the person may not list nodes, or not see whether an autoscaler adds some.
        UsageError: no node suits such a pod, and the cluster has no autoscaler.
    """
    from kubernetes import client

    nodes = cluster.ask(client.CoreV1Api(cluster.api).list_node).items
    try:
        return _gpus_for_steps(cluster, nodes)
    except UsageError:
        if autoscaler := _autoscaler(cluster):
            return f"none for GPU steps on the {len(nodes)} nodes now; {autoscaler} may add one"
        raise


def _autoscaler(cluster: StackCluster) -> str:
    """Return what adds nodes to the cluster, even from zero, when a pod waits; "" if nothing does."""
    from kubernetes import client

    if cluster.ask(client.CoreV1Api(cluster.api).read_namespaced_config_map, *AUTOSCALER_STATUS):
        return "the cluster's autoscaler"
    pools = cluster.ask(client.CustomObjectsApi(cluster.api).list_cluster_custom_object, *KARPENTER)
    return "Karpenter" if pools and pools["items"] else ""


def _gpus_for_steps(cluster: StackCluster, nodes: Sequence[Any]) -> str:
    with_gpus = [node for node in nodes if _gpus(node)]
    if not with_gpus:
        raise UsageError(
            f"None of the {len(nodes)} nodes of KUBERNETES_CONTEXT={cluster.context} has an allocatable "
            f"{GPU}. Add a node with a GPU, and install NVIDIA's GPU operator or device plugin."
        )
    obstacles = {node.metadata.name: _obstacle(node, cluster.gpu_pods) for node in with_gpus}
    fitting = [node for node in with_gpus if not obstacles[node.metadata.name]]
    if not fitting:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in obstacles.items())
        raise UsageError(
            f"No node of KUBERNETES_CONTEXT={cluster.context} with a GPU can take a GPU step ({reasons}). "
            "Correct GPU_NODE_SELECTOR, GPU_TOLERATIONS, or the requests in stacks/gpu.yaml."
        )
    return f"{sum(map(_gpus, fitting))} on {len(fitting)} of {len(nodes)} nodes, free or in use"


def _gpus(node: Any) -> int:
    return int(node.status.allocatable.get(GPU, 0))


def _obstacle(node: Any, pods: Mapping[str, Any]) -> str:
    """Return why the scheduler would not place the pod there even if the node were idle; "" if it would."""
    from kubernetes.utils.quantity import parse_quantity

    if node.spec.unschedulable:
        return "cordoned"
    labels = node.metadata.labels or {}
    for key, value in pods.get("node_selectors", {}).items():
        if labels.get(key) != value:
            return f"label {key} is {labels.get(key, 'missing')}, not {value}"
    for taint in node.spec.taints or []:
        if taint.effect in KEEPS_AWAY and not any(_tolerates(t, taint) for t in pods.get("tolerations", [])):
            return f"taint {taint.key}={taint.value or ''}:{taint.effect} is not tolerated"
    for resource, quantity in pods.get("resources", {}).get("requests", {}).items():
        has = node.status.allocatable.get(resource, "0")
        if parse_quantity(has) < parse_quantity(quantity):
            return f"{resource} {has}, requested {quantity}"
    return ""


def _tolerates(toleration: Mapping[str, Any], taint: Any) -> bool:
    exists = toleration.get("operator", "Equal") == "Exists"
    return (
        toleration.get("effect") in (None, "", taint.effect)
        and (toleration.get("key") == taint.key or (exists and not toleration.get("key")))
        and (exists or toleration.get("value", "") == (taint.value or ""))
    )


def check_quota(cluster: StackCluster) -> str:
    """Return what the namespace's quotas leave of what a GPU step requests.

    Raises:
        NotAllowedError: the person may not list quotas.
        UsageError: a quota is smaller than what one GPU step requests.
    """
    from kubernetes import client
    from kubernetes.utils.quantity import parse_quantity

    demand = _demand(cluster.gpu_pods)
    found = []
    quotas = client.CoreV1Api(cluster.api).list_namespaced_resource_quota
    for quota in cluster.ask(quotas, cluster.namespace).items:
        if quota.spec.scopes or quota.spec.scope_selector:  # it may not count these pods
            continue
        used = quota.status.used or {}
        for resource, hard in (quota.spec.hard or {}).items():
            if resource not in demand:
                continue
            if parse_quantity(hard) < parse_quantity(demand[resource]):
                raise UsageError(
                    f"The quota {quota.metadata.name} of the namespace {cluster.namespace} allows {hard} of "
                    f"{resource}, and one GPU step requests {demand[resource]}. Someone who administers the "
                    f"namespace can raise it: `kubectl --namespace {cluster.namespace} edit resourcequota "
                    f"{quota.metadata.name}`."
                )
            found.append(f"{resource}: {used.get(resource, 0)} of {hard} in use")
    return ", ".join(found) or f"the namespace {cluster.namespace} has none for GPU steps"


def _demand(pods: Mapping[str, Any]) -> dict[str, str]:
    """Return what a pod counts for under the names of quotas, where `cpu` is short for `requests.cpu`."""
    resources = pods.get("resources", {})
    requests = resources.get("requests", {})
    named = {f"{kind}.{name}": value for kind, block in resources.items() for name, value in block.items()}
    return named | {name: requests[name] for name in ("cpu", "memory") if name in requests}
