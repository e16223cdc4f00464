"""A step operator for GPU nodes of a Kubernetes cluster: ZenML's own (0.98), with three faults mended.

The orchestrator keeps the run's token in a secret until the run's end, and its own pods read it from there.
ZenML's step operator writes it into the step's job, where everyone who may read jobs or pods finds it.

A step has two pods: one waits for the step's job, the other trains. If the first is evicted, ZenML leaves the
job running and the retry starts a second trainer beside it. Here no job outlives the pod that waits for it.
And an API server that once does not answer ends no step.
"""

from __future__ import annotations

import time
from http.client import NOT_FOUND
from typing import TYPE_CHECKING, Any

from kubernetes.client import ApiException
from zenml.enums import ExecutionStatus
from zenml.integrations.kubernetes.constants import KUBERNETES_SECRET_TOKEN_KEY_NAME
from zenml.integrations.kubernetes.flavors import KubernetesStepOperatorFlavor
from zenml.integrations.kubernetes.flavors.kubernetes_step_operator_flavor import (
    KubernetesStepOperatorSettings,
)
from zenml.integrations.kubernetes.kube_utils import delete_job, list_jobs, sanitize_label_value
from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings
from zenml.integrations.kubernetes.step_operators import KubernetesStepOperator
from zenml.logger import get_logger

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo
    from zenml.models import StepRunResponse

TOKEN = "ZENML_STORE_API_TOKEN"  # the name of the variable
POLL_SECONDS = 2.0
ENDS = {"Complete": ExecutionStatus.COMPLETED, "Failed": ExecutionStatus.FAILED}
SECONDS_TO_END = 600
"""For a job that was deleted: more than three times the grace period of stacks/gpu.yaml."""
logger = get_logger(__name__)


class KubernetesGpuStepOperator(KubernetesStepOperator):
    """Runs each step as a job that reads the run's token from a secret and ends before a retry starts."""

    def get_settings(self, container: Any) -> KubernetesStepOperatorSettings:
        """Return ZenML's settings, with the token's place in the environment of the pod."""
        settings = super().get_settings(container)
        # How KubernetesOrchestrator.get_token_secret_name names it.
        secret = {"name": f"zenml-token-{container.snapshot.id}", "key": KUBERNETES_SECRET_TOKEN_KEY_NAME}
        pod = settings.pod_settings or KubernetesPodSettings()
        token = {"name": TOKEN, "valueFrom": {"secretKeyRef": secret}}
        return settings.model_copy(update={"pod_settings": pod.model_copy(update={"env": [*pod.env, token]})})

    def submit_with_allocation(
        self,
        info: StepRunInfo,
        entrypoint_command: list[str],
        environment: dict[str, str],
        allocated_resource_request: Any,
    ) -> None:
        """Start the step's job, once the jobs of earlier attempts are gone.

        An attempt whose waiting pod was killed without notice (its node failed) has left its job running.
        """
        run, step = map(sanitize_label_value, (str(info.run_id), info.pipeline_step_name))
        # The job that this code runs in has the same run and step, but no `step_run_id`.
        self._end_jobs(f"run_id={run},step_name={step},step_run_id")
        others = {name: value for name, value in environment.items() if name != TOKEN}
        super().submit_with_allocation(info, entrypoint_command, others, allocated_resource_request)

    def get_status(self, step_run: StepRunResponse) -> ExecutionStatus:
        """Return the status of a step's job.

        An API server that does not answer raises, and `wait` then asks ZenML's server. ZenML's own method
        returns `FAILED`, which would end a training of days.
        """
        jobs = self._jobs(_of_attempt(step_run))
        if not jobs:
            return ExecutionStatus.FAILED  # somebody deleted it
        return ENDS.get(end_of(jobs[0]) or "", ExecutionStatus.RUNNING)

    def cleanup_step_submission(self, step_run: StepRunResponse) -> None:
        """End the step's job if it is still running: the pod that waited for it was stopped."""
        self._end_jobs(_of_attempt(step_run))

    def _end_jobs(self, labels: str) -> None:
        """Delete the unfinished jobs with these labels, and wait until their pods are gone.

        A trainer has its grace period to save a checkpoint, from which the next attempt resumes.

        Raises:
            RuntimeError: they do not end. Two trainers would overwrite each other's checkpoints.
        """
        batch, namespace = self._k8s_batch_api, self.config.kubernetes_namespace
        for job in self._unfinished(labels):
            logger.info("Ending the job `%s`, which nothing waits for any more.", job.metadata.name)
            # In the foreground: the job is listed until its pods are gone.
            try:
                delete_job(batch, namespace, job.metadata.name)
            except ApiException as error:
                if error.status != NOT_FOUND:  # it has gone meanwhile
                    raise
        deadline = time.monotonic() + SECONDS_TO_END
        while remaining := self._unfinished(labels):
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"The job {remaining[0].metadata.name} of an earlier attempt has not ended in "
                    f"{SECONDS_TO_END} s. Its node may be unreachable: remove the node, or delete the job's "
                    "pod with `kubectl delete pod --force`, then run again."
                )
            time.sleep(POLL_SECONDS)

    def _unfinished(self, labels: str) -> list[Any]:
        return [job for job in self._jobs(labels) if end_of(job) is None]

    def _jobs(self, labels: str) -> list[Any]:
        found = list_jobs(self._k8s_batch_api, self.config.kubernetes_namespace, label_selector=labels)
        return list(found.items)


def end_of(job: Any) -> str | None:
    """Return how a job ended, `Complete` or `Failed`; None while it has not."""
    conditions = job.status.conditions or ()
    return next((one.type for one in conditions if one.status == "True" and one.type in ENDS), None)


def _of_attempt(step_run: StepRunResponse) -> str:
    """Return the labels of the job of one attempt to run a step."""
    return f"step_run_id={sanitize_label_value(str(step_run.id))}"


class KubernetesGpuFlavor(KubernetesStepOperatorFlavor):
    """The flavour `kubernetes_gpu`."""

    @property
    def name(self) -> str:
        """Return the flavour's name in a stack file."""
        return "kubernetes_gpu"

    @property
    def implementation_class(self) -> type[KubernetesGpuStepOperator]:
        """Return the type of the operator."""
        return KubernetesGpuStepOperator
