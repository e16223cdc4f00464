"""Who may do what in the namespace: the person who submits a run, and the account of its pods."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from front_door.doctor.cluster.connection import StackCluster


@dataclass(frozen=True)
class Right:
    """To do `verb` with a resource of the namespace, such as `jobs` of the group `batch`."""

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        """Return it in kubectl's words, such as `create jobs.batch`."""
        return f"{self.verb} {self.resource}{self.group and f'.{self.group}'}"

    def attributes(self, namespace: str) -> dict[str, str]:
        """Return it as an access review takes it."""
        resource, _, part = self.resource.partition("/")
        return {
            "namespace": namespace,
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": part,
        }


def rights(resource: str, verbs: str, group: str = "") -> tuple[Right, ...]:
    """Return the rights to several verbs, which spaces separate."""
    return tuple(Right(verb, resource, group) for verb in verbs.split())


OF_SUBMITTER = (
    *rights("jobs", "create delete get list", "batch"),
    *rights("pods", "get list"),
    *rights("pods/log", "get"),
    *rights("events", "list"),
    *rights("secrets", "create delete patch"),
)
"""What the front door and ZenML do here: start, follow and stop a run, and store its token."""
OF_SCHEDULER = rights("cronjobs", "create delete get", "batch")
"""What `schedule` does as well."""
OF_PODS = (
    *rights("jobs", "create delete get list patch", "batch"),
    *rights("pods", "get list"),
    *rights("secrets", "delete"),
)
"""What ZenML 0.98 does within the cluster; docker/kubernetes/access.yaml grants this and nothing else."""


def check_submitter(cluster: StackCluster, needed: Sequence[Right] = OF_SUBMITTER) -> str:
    """Return how many rights the person has.

    Raises:
        UsageError: one is missing.
    """
    from kubernetes import client

    review = client.AuthorizationV1Api(cluster.api).create_self_subject_access_review

    def allowed(right: Right) -> bool:
        spec = {"resourceAttributes": right.attributes(cluster.namespace)}
        return bool(cluster.ask(review, {"spec": spec}).status.allowed)

    if missing := _without(needed, allowed):
        raise UsageError(
            f"You may not {missing} in the namespace {cluster.namespace} of KUBERNETES_CONTEXT="
            f"{cluster.context}. Someone who administers it can allow that: `kubectl --namespace "
            f"{cluster.namespace} create rolebinding review-sentiment --clusterrole=edit --user=YOU`."
        )
    return f"you may submit, follow and stop runs ({len(needed)} rights)"


def check_account(cluster: StackCluster) -> str:
    """Return how many rights the account of pods has.

    Raises:
        NotAllowedError: the person may not review the rights of others.
        UsageError: the account does not exist, or a right is missing.
    """
    from kubernetes import client

    advice = "`kubectl apply -k docker/kubernetes` creates it with its rights."
    read = client.CoreV1Api(cluster.api).read_namespaced_service_account
    if cluster.ask(read, cluster.account, cluster.namespace) is None:
        raise UsageError(
            f"The namespace {cluster.namespace} has no service account {cluster.account}. "
            f"{advice} KUBERNETES_SERVICE_ACCOUNT names another one."
        )
    review = client.AuthorizationV1Api(cluster.api).create_namespaced_local_subject_access_review
    user = f"system:serviceaccount:{cluster.namespace}:{cluster.account}"

    def allowed(right: Right) -> bool:
        spec = {"user": user, "resourceAttributes": right.attributes(cluster.namespace)}
        body = {"metadata": {"namespace": cluster.namespace}, "spec": spec}
        return bool(cluster.ask(review, cluster.namespace, body).status.allowed)

    if missing := _without(OF_PODS, allowed):
        raise UsageError(
            f"The service account {cluster.account} of the namespace {cluster.namespace} may not {missing}, "
            f"which ZenML does from within the cluster. {advice}"
        )
    return f"{cluster.account} may start and stop the jobs of steps ({len(OF_PODS)} rights)"


def _without(needed: Sequence[Right], allowed: Any) -> str:
    """Return the rights that are missing, as words. The reviews run side by side: each is a request."""
    with ThreadPoolExecutor() as threads:
        granted = list(threads.map(allowed, needed))
    return ", ".join(str(right) for right, has in zip(needed, granted, strict=True) if not has)
