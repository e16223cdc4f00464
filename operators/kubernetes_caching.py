"""An orchestrator on Kubernetes whose cached steps need no pod; with ZenML's own (0.98), they do.

ZenML looks for a step's earlier result where the step would run. On Kubernetes that is a pod of its own, as
the pod that starts the others has no code to compute a cache key from: a minute for each of 18 cached steps.
Here the process that submits the run looks first, as it does for other orchestrators. It records the cached
steps, and the pod that starts the others finds them finished. If all are cached, no pod starts.

That pod looks for finished steps only if it believes it was restarted, which it concludes from its job: ZenML
writes the run into the job once the first pod is up. Here the job names the run from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zenml.client import Client
from zenml.integrations.kubernetes.constants import ORCHESTRATOR_RUN_ID_ANNOTATION_KEY, RUN_ID_ANNOTATION_KEY
from zenml.integrations.kubernetes.flavors import KubernetesOrchestratorConfig, KubernetesOrchestratorFlavor
from zenml.integrations.kubernetes.orchestrators import KubernetesOrchestrator
from zenml.models import PipelineRunUpdate

if TYPE_CHECKING:
    from kubernetes.client import V1Job
    from zenml.models import PipelineRunResponse, PipelineSnapshotResponse
    from zenml.orchestrators import SubmissionResult
    from zenml.stack import Stack


class KubernetesCachingConfig(KubernetesOrchestratorConfig):
    """ZenML's configuration."""

    @property
    def supports_client_side_caching(self) -> bool:
        """Return that the process that submits a run records its cached steps."""
        return True


class KubernetesCachingOrchestrator(KubernetesOrchestrator):
    """Starts a pod for each step that is not cached."""

    def submit_pipeline(
        self,
        snapshot: PipelineSnapshotResponse,
        stack: Stack,
        base_environment: dict[str, str],
        step_environments: dict[str, dict[str, str]],
        placeholder_run: PipelineRunResponse | None = None,
    ) -> SubmissionResult | None:
        """Start the run's job, or create the schedule of runs that do not exist yet.

        Steps find their run by the orchestrator's name for it, which is the run's id.
        """
        if placeholder_run is not None:
            update = PipelineRunUpdate(orchestrator_run_id=str(placeholder_run.id))
            Client().zen_store.update_run(run_id=placeholder_run.id, run_update=update)
        return super().submit_pipeline(snapshot, stack, base_environment, step_environments, placeholder_run)

    def _prepare_job_manifest(
        self, *arguments: Any, labels: dict[str, str], annotations: dict[str, str], **options: Any
    ) -> V1Job:
        """Return the run's job; a schedule's has no run in its labels."""
        if run := labels.get("run_id"):
            annotations = annotations | {RUN_ID_ANNOTATION_KEY: run, ORCHESTRATOR_RUN_ID_ANNOTATION_KEY: run}
        return super()._prepare_job_manifest(*arguments, labels=labels, annotations=annotations, **options)


class KubernetesCachingFlavor(KubernetesOrchestratorFlavor):
    """The flavour `kubernetes_caching`."""

    @property
    def name(self) -> str:
        """Return the flavour's name in a stack file."""
        return "kubernetes_caching"

    @property
    def config_class(self) -> type[KubernetesCachingConfig]:
        """Return the type of the configuration."""
        return KubernetesCachingConfig

    @property
    def implementation_class(self) -> type[KubernetesCachingOrchestrator]:
        """Return the type of the orchestrator."""
        return KubernetesCachingOrchestrator
