"""The manifests that `--stack gpu` sends to the Kubernetes API for a run and for a step."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import kubernetes_validate
import pytest
import yaml

from front_door.stack.active import ROOT
from front_door.stack.files import StackFile, read_stack
from operators.step_end import SECONDS_TO_STOP
from tests.unit.front_door.test_stack_files import VARIABLES

if TYPE_CHECKING:
    from operators.kubernetes_gpu import KubernetesGpuStepOperator

IMAGE = "127.0.0.1:5000/zenml@sha256:0123"
KUBERNETES = "1.31"
API_VERSIONS = {"cronjobs": "batch/v1", "jobs": "batch/v1", "secrets": "v1"}
KINDS = {"cronjobs": "CronJob", "jobs": "Job", "secrets": "Secret"}
SNAPSHOT, RUN, ATTEMPT = uuid4(), uuid4(), uuid4()


class _ApiServer(BaseHTTPRequestHandler):
    """Stores created resources, and lists and deletes jobs."""

    created: list[dict[str, Any]]
    deleted: list[str]

    def do_GET(self) -> None:
        """List the jobs with the labels that are asked for; answer that any other resource does not exist."""
        address = urlsplit(self.path)
        if not address.path.endswith("/jobs"):
            self.send_error(404)
            return
        (selector,) = parse_qs(address.query)["labelSelector"]
        pairs = [pair.partition("=") for pair in selector.split(",")]
        wanted = {(name, value) for name, equal, value in pairs if equal}
        named = {name for name, _, _ in pairs}
        jobs = [one["manifest"] for one in self.created if one["path"] == address.path]
        self._answer(
            {
                "items": [
                    {"status": {}} | job
                    for job in jobs
                    if wanted <= job["metadata"]["labels"].items()
                    and named <= job["metadata"]["labels"].keys()
                    and job["metadata"]["name"] not in self.deleted
                ]
            }
        )

    def do_DELETE(self) -> None:
        """Delete a job."""
        self.deleted.append(urlsplit(self.path).path.rsplit("/", 1)[1])
        self._answer({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # The client omits what the path implies; a real API server adds it.
        resource = self.path.rsplit("/", 1)[1]
        known = {"apiVersion": API_VERSIONS[resource], "kind": KINDS[resource]}
        self.created.append({"path": self.path, "manifest": known | body})
        self._answer(body, 201)

    def _answer(self, body: dict[str, Any], code: int = 200) -> None:
        answer = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Yield the resources created at an API server on loopback, which the context `team` points to."""
    handler = type("Handler", (_ApiServer,), {"created": [], "deleted": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
                ],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "team", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "team",
            }
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_ApiServer, "deleted", handler.deleted, raising=False)
    yield handler.created
    server.shutdown()
    server.server_close()


def identity() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "name": "gpu",
        "id": uuid4(),
        "flavor": "kubernetes",
        "user": uuid4(),
        "created": now,
        "updated": now,
    }


def submit_run(file: StackFile, environment: dict[str, str], schedule: Any = None, run: Any = None) -> None:
    from zenml.enums import StackComponentType

    from operators.kubernetes_caching import KubernetesCachingConfig, KubernetesCachingOrchestrator

    orchestrator = KubernetesCachingOrchestrator(
        config=KubernetesCachingConfig(**file.components["orchestrator"].configuration),
        type=StackComponentType.ORCHESTRATOR,
        **identity(),
    )
    snapshot: Any = SimpleNamespace(
        id=uuid4(),
        project_id=uuid4(),
        pipeline_configuration=SimpleNamespace(name="review_sentiment", settings={}),
        step_configurations={},
        build=SimpleNamespace(get_image=lambda component_key, step: IMAGE),
        schedule=schedule,
    )
    stack: Any = None
    orchestrator.submit_pipeline(snapshot, stack, environment, {}, run)


def step_operator(file: StackFile) -> KubernetesGpuStepOperator:
    from zenml.enums import StackComponentType
    from zenml.integrations.kubernetes.flavors import KubernetesStepOperatorConfig

    from operators.kubernetes_gpu import KubernetesGpuStepOperator

    configuration = file.components["step_operator"].configuration
    return KubernetesGpuStepOperator(
        # Here as from outside the cluster: only pods have the credentials for the API within.
        config=KubernetesStepOperatorConfig(**configuration | {"incluster": False}),
        type=StackComponentType.STEP_OPERATOR,
        **identity(),
    )


def submit_step(file: StackFile, step: str, environment: dict[str, str], attempt: UUID = ATTEMPT) -> None:
    run: Any = SimpleNamespace(
        config=SimpleNamespace(command=None, settings={}),
        pipeline_configuration=SimpleNamespace(settings={}),
        pipeline=SimpleNamespace(name="review_sentiment"),
        pipeline_step_name=step,
        snapshot=SimpleNamespace(id=SNAPSHOT, project_id=uuid4()),
        run_id=RUN,
        run_name="run",
        step_run_id=attempt,
        get_image=lambda key: IMAGE,
    )
    step_operator(file).submit_with_allocation(
        run, ["python", "-m", "zenml.entrypoints.entrypoint", "--step_name", step], environment, None
    )


def test_a_steps_job_is_valid_and_requests_a_gpu(created: list[dict[str, Any]]) -> None:
    submit_step(
        read_stack("gpu"), "finetune", {"ZENML_STORE_API_TOKEN": "zenml_word", "HF_ENDPOINT": "http://h"}
    )
    (job,) = created
    assert job["path"] == "/apis/batch/v1/namespaces/zenml/jobs"
    manifest = job["manifest"]
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)

    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert {"name": "HF_ENDPOINT", "value": "http://h"} in container["env"]
    assert "zenml_word" not in json.dumps(manifest)
    (token,) = [variable for variable in container["env"] if variable["name"] == "ZENML_STORE_API_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"]["name"] == f"zenml-token-{SNAPSHOT}"
    assert pod["terminationGracePeriodSeconds"] > SECONDS_TO_STOP
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"name": "cache", "mountPath": "/cache"} in container["volumeMounts"]
    assert "nodeSelector" not in pod  # the request chooses the node: no label is common to all clusters
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["serviceAccountName"] == "zenml"


def test_a_retry_first_ends_the_job_of_the_attempt_before(created: list[dict[str, Any]]) -> None:
    stack = read_stack("gpu")
    for step in ("evaluate", "finetune"):
        submit_step(stack, step, {}, uuid4())
    waiting = deepcopy(created[1])  # the job of the pod that submits and waits
    del waiting["manifest"]["metadata"]["labels"]["step_run_id"]
    waiting["manifest"]["metadata"]["name"] = "waiting"
    created.append(waiting)
    submit_step(stack, "finetune", {}, uuid4())
    name = created[1]["manifest"]["metadata"]["name"]
    assert _ApiServer.deleted == [name], "the other step's job goes on, and so does the one that waits"


@pytest.mark.parametrize("end", ["Complete", "Failed", None])
def test_a_job_does_not_outlive_the_pod_that_waits_for_it(
    created: list[dict[str, Any]], end: str | None
) -> None:
    stack = read_stack("gpu")
    submit_step(stack, "finetune", {})
    job = created[0]["manifest"]
    if end is not None:
        condition = {"type": end, "status": "True"}
        job["status"] = {"conditions": [condition]}
    waited_for: Any = SimpleNamespace(id=ATTEMPT)
    step_operator(stack).cleanup_step_submission(waited_for)
    assert _ApiServer.deleted == ([] if end else [job["metadata"]["name"]]), "finished jobs keep their logs"


def test_a_clusters_own_names_reach_the_job(
    created: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_NODE_SELECTOR", "{cloud.google.com/gke-accelerator: nvidia-l4}")
    monkeypatch.setenv("GPU_RUNTIME_CLASS", "nvidia")
    monkeypatch.setenv("GPU_POD_CPU", "500m")
    monkeypatch.setenv("GPU_POD_MEMORY", "8Gi")
    claim = "{name: cache, persistentVolumeClaim: {claimName: review-sentiment-cache}}"
    monkeypatch.setenv("GPU_CACHE_VOLUME", claim)
    monkeypatch.setenv("GPU_TOLERATIONS", "[{key: dedicated, value: gpu, effect: NoSchedule}]")
    monkeypatch.setenv("IMAGE_PULL_SECRET", "registry")
    submit_step(read_stack("gpu"), "finetune", {})
    manifest = created[0]["manifest"]
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["containers"][0]["resources"]["requests"] == {
        "cpu": "500m",
        "memory": "8Gi",
        "nvidia.com/gpu": "1",
    }
    assert pod["tolerations"] == [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert yaml.safe_load(claim) in pod["volumes"]
    cache = yaml.safe_load((ROOT / "docker" / "kubernetes" / "cache.yaml").read_text(encoding="utf-8"))
    kubernetes_validate.validate(cache, KUBERNETES, strict=True)
    assert cache["metadata"]["name"] in claim


def test_a_storage_class_reaches_the_volume_of_a_step(
    created: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "60Gi"}},
    }
    volume = {"name": "cache", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
    monkeypatch.setenv("GPU_CACHE_VOLUME", json.dumps(volume))
    submit_step(read_stack("gpu"), "finetune", {})
    manifest = created[0]["manifest"]
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    assert volume in manifest["spec"]["template"]["spec"]["volumes"]


def test_the_pull_secret_reaches_the_pods_of_the_run_and_of_its_steps(
    created: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_PULL_SECRET", "registry")
    file = read_stack("gpu")
    submit_run(file, {"ZENML_STORE_API_TOKEN": "zenml_word"})
    pod = created[1]["manifest"]["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    # The pod of the run gives its steps without a GPU these settings.
    steps = file.components["orchestrator"].configuration["pod_settings"]
    assert steps["image_pull_secrets"] == ["registry"]


def test_the_kustomization_is_valid_and_has_one_namespace() -> None:
    """`kubectl kustomize` builds what `apply -k` sends; tests/cluster applies it to a real server."""
    directory = ROOT / "docker" / "kubernetes"
    listed = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    assert {path.name for path in directory.glob("*.yaml")} == {*listed, "kustomization.yaml"}
    for name in listed:
        for manifest in yaml.safe_load_all((directory / name).read_text(encoding="utf-8")):
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_a_runs_job_is_valid_and_has_the_token_as_a_secret(created: list[dict[str, Any]]) -> None:
    submit_run(read_stack("gpu"), {"ZENML_STORE_API_TOKEN": "zenml_word", "AWS_ENDPOINT_URL": "http://s3"})
    secret, job = (item["manifest"] for item in created)
    for manifest in (secret, job):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    assert "zenml_word" not in json.dumps(job)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert pod["serviceAccountName"] == "zenml"
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://s3"} in container["env"]
    (token,) = [variable for variable in container["env"] if variable["name"] == "ZENML_STORE_API_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"]["name"] == secret["metadata"]["name"]
    assert "nvidia.com/gpu" not in json.dumps(pod)  # the orchestrator itself needs no GPU


def test_a_runs_job_names_the_run_so_that_its_pod_asks_for_the_steps_that_are_cached(
    created: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: dict[UUID, str] = {}

    class Store:
        def update_run(self, run_id: UUID, run_update: Any) -> None:
            updates[run_id] = run_update.orchestrator_run_id

    monkeypatch.setattr("operators.kubernetes_caching.Client", lambda: SimpleNamespace(zen_store=Store()))
    submit_run(read_stack("gpu"), {"ZENML_STORE_API_TOKEN": "t"}, run=SimpleNamespace(id=RUN, name="run"))
    annotations = created[1]["manifest"]["metadata"]["annotations"]
    # What ZenML's entry point of that pod reads (`_get_orchestrator_job_state`).
    assert annotations["zenml.io/run-id"] == str(RUN)
    assert annotations["zenml.io/orchestrator-run-id"] == updates[RUN]


def test_a_schedules_cron_job_is_valid_and_starts_the_job_of_a_run(created: list[dict[str, Any]]) -> None:
    """The server in tests/cluster is too old for it, so a newer schema judges the object."""
    schedule = SimpleNamespace(cron_expression="30 2 * * 1-5")
    submit_run(read_stack("gpu"), {"ZENML_STORE_API_TOKEN": "zenml_word"}, schedule)
    secret, cron_job = (item["manifest"] for item in created)
    assert created[1]["path"] == "/apis/batch/v1/namespaces/zenml/cronjobs"
    kubernetes_validate.validate(cron_job, KUBERNETES, strict=True)
    assert cron_job["spec"]["schedule"] == "30 2 * * 1-5"
    assert cron_job["spec"]["concurrencyPolicy"] == "Forbid"
    assert "zenml_word" not in json.dumps(cron_job)

    created.clear()
    submit_run(read_stack("gpu"), {"ZENML_STORE_API_TOKEN": "zenml_word"})
    job = created[1]["manifest"]
    pod, scheduled = (each["spec"]["template"]["spec"] for each in (job, cron_job["spec"]["jobTemplate"]))
    names = [[variable["name"] for variable in each["containers"][0].pop("env")] for each in (pod, scheduled)]
    assert names[0] == names[1]
    assert secret["metadata"]["name"].startswith("zenml-token-")
    for each in (pod, scheduled):
        each["containers"][0].pop("args")  # with the id of the snapshot
    assert scheduled == pod
    template = cron_job["spec"]["jobTemplate"]["metadata"]
    assert "zenml.io/run-id" not in template["annotations"], "each run of a schedule is another one"


def test_an_invalid_manifest_is_rejected(created: list[dict[str, Any]]) -> None:
    submit_step(read_stack("gpu"), "finetune", {})
    manifest = created[0]["manifest"]
    manifest["spec"]["template"]["spec"]["tolerationz"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
