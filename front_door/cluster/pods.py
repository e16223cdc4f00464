"""The jobs and pods of a run, read from the Kubernetes API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from front_door.cluster.client import open_client
from front_door.stack.files import KUBERNETES
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.models import PipelineRunResponse

STEP_LABEL, RUN_LABEL, STEP_RUN_LABEL, JOB_LABEL = "step_name", "run_id", "step_run_id", "job-name"
"""Labels of ZenML (0.98) and Kubernetes. The orchestrator's job and pod have no step, and only those of the
step operator, on the GPU, have the id of the step's run; another pod starts them and waits for them.
"""
ORCHESTRATOR = "the orchestrator"
SECONDS_TO_ANSWER = 20
FORBIDDEN = 403
NOT_FOUND = 404


class ClusterError(ReviewSentimentError):
    """The cluster does not respond, or refuses a request."""


def step_of(item: Any) -> str:
    """Return the step that a job or pod belongs to, or `ORCHESTRATOR`."""
    return str((item.metadata.labels or {}).get(STEP_LABEL, ORCHESTRATOR))


def is_finished(job: Any) -> bool:
    """Return whether a job has completed or failed."""
    conditions = job.status.conditions or []
    return any(found.type in ("Complete", "Failed") and found.status == "True" for found in conditions)


def is_active(pod: Any) -> bool:
    """Return whether a pod may still run."""
    return pod.status.phase not in ("Succeeded", "Failed")


@dataclass(frozen=True)
class Cluster:
    """A namespace of the cluster that a context of the user's kubeconfig names."""

    context: str | None
    namespace: str

    @cached_property
    def _client(self) -> Any:
        return open_client(self.context)

    @cached_property
    def core(self) -> Any:
        """Return the API of pods, events and secrets."""
        from kubernetes import client

        return client.CoreV1Api(self._client)

    @cached_property
    def batch(self) -> Any:
        """Return the API of jobs."""
        from kubernetes import client

        return client.BatchV1Api(self._client)

    def jobs(self, run_id: str) -> Sequence[Any]:
        """Return the jobs of a run."""
        return self._listed(self.batch.list_namespaced_job, f"{RUN_LABEL}={run_id}")

    def pods(self, run_id: str) -> Sequence[Any]:
        """Return the pods of a run, the oldest first."""
        found = self._listed(self.core.list_namespaced_pod, f"{RUN_LABEL}={run_id}")
        return sorted(found, key=lambda pod: pod.metadata.creation_timestamp)

    def events(self, uid: str) -> Sequence[Any]:
        """Return the events of a pod or job, the oldest first."""
        found = self.core.list_namespaced_event(
            self.namespace, field_selector=f"involvedObject.uid={uid}", _request_timeout=SECONDS_TO_ANSWER
        )
        return sorted(found.items, key=lambda e: e.last_timestamp or e.metadata.creation_timestamp)

    def delete_job(self, job: Any) -> None:
        """Delete a job; it is gone when its pods are."""
        self._delete(self.batch.delete_namespaced_job, job.metadata.name, propagation_policy="Foreground")

    def delete_token(self, snapshot: UUID) -> None:
        """Delete the secret with the token of a snapshot's runs, if it exists."""
        # How KubernetesOrchestrator.get_token_secret_name (ZenML 0.98) names it.
        self._delete(self.core.delete_namespaced_secret, f"zenml-token-{snapshot}")

    def _listed(self, call: Any, selector: str) -> Sequence[Any]:
        found: Sequence[Any] = call(
            self.namespace, label_selector=selector, _request_timeout=SECONDS_TO_ANSWER
        ).items
        return found

    def _delete(self, call: Any, name: str, **options: str) -> None:
        from kubernetes.client import ApiException

        try:
            call(name, self.namespace, **options, _request_timeout=SECONDS_TO_ANSWER)
        except ApiException as error:
            if error.status != NOT_FOUND:
                raise


def connection_errors() -> tuple[type[Exception], ...]:
    """Return what the Kubernetes client raises if the API server refuses a request or does not respond."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    return (ApiException, HTTPError, OSError)


def cluster_of(run: PipelineRunResponse) -> Cluster | None:
    """Return the cluster that a run was started on; None if its stack's orchestrator is another one."""
    from zenml.enums import StackComponentType

    found = run.stack.components.get(StackComponentType.ORCHESTRATOR, []) if run.stack else []
    if not found or found[0].flavor_name != KUBERNETES:
        return None
    settings = found[0].configuration
    return Cluster(settings.get("kubernetes_context"), settings.get("kubernetes_namespace", "zenml"))
