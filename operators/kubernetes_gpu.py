"""A step operator for GPU nodes of a Kubernetes cluster: ZenML's own, without the run's token in manifests.

The orchestrator keeps the token in a secret until the run's end, and its own pods read it from there. ZenML's
step operator (0.98) writes it into the step's job, where everyone who may read jobs or pods finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zenml.integrations.kubernetes.constants import KUBERNETES_SECRET_TOKEN_KEY_NAME
from zenml.integrations.kubernetes.flavors import KubernetesStepOperatorFlavor
from zenml.integrations.kubernetes.flavors.kubernetes_step_operator_flavor import (
    KubernetesStepOperatorSettings,
)
from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings
from zenml.integrations.kubernetes.step_operators import KubernetesStepOperator

if TYPE_CHECKING:
    from zenml.config.step_run_info import StepRunInfo

TOKEN = "ZENML_STORE_API_TOKEN"  # the name of the variable


class KubernetesGpuStepOperator(KubernetesStepOperator):
    """Runs steps as jobs, whose pods read the run's token from the orchestrator's secret."""

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
        """Start the step's job."""
        others = {name: value for name, value in environment.items() if name != TOKEN}
        super().submit_with_allocation(info, entrypoint_command, others, allocated_resource_request)


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
