"""Stack files are read with values from the environment, and all missing variables are reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from front_door.run.preflight import Preflight
from front_door.stack import files
from front_door.stack.active import ActiveStack
from front_door.stack.files import DIRECTORY, Component, StackFile, read_stack
from pipelines.step_names import gpu_steps, step_names
from review_sentiment.config import EvaluationSettings, RobustnessSettings, Settings
from review_sentiment.errors import UsageError

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "key-of-s3",
    "AWS_SECRET_ACCESS_KEY": "word-of-s3",
    "CONTAINER_REGISTRY": "127.0.0.1:5000",
    "GPU_HOST": "gpu.example",
    "GPU_SSH_KEY": "~/.ssh/id_ed25519",
    "GPU_USER": "runner",
    "KUBERNETES_CONTEXT": "team",
    "MLFLOW_TRACKING_PASSWORD": "word-of-mlflow",
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:5050",
    "MLFLOW_TRACKING_USERNAME": "team",
    "S3_BUCKET": "reviews",
}
SECRETS = ("word-of-s3", "key-of-s3", "word-of-mlflow")
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "GPU_PORT", "S3_ENDPOINT_URL", "BASE_IMAGE", "KUBERNETES_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def test_all_documented_stacks_exist() -> None:
    assert NAMES == ["gpu", "gpu-local", "gpu-ssh", "local"]


@pytest.mark.parametrize("name", NAMES)
def test_every_stack_file_can_be_read(environment: None, name: str) -> None:
    file = read_stack(name)
    assert {"orchestrator", "artifact_store", "experiment_tracker"} <= set(file.components)
    assert file.has_step_operator == (name != "local")
    assert bool(file.image) == bool(file.secrets) == (name in ("gpu", "gpu-ssh"))


@pytest.mark.parametrize("name", ["gpu", "gpu-ssh"])
def test_components_refer_to_secrets_and_do_not_contain_them(environment: None, name: str) -> None:
    file = read_stack(name)
    configured = file.model_dump_json(exclude={"secrets"})
    assert not any(secret in configured for secret in SECRETS)
    store = file.components["artifact_store"].configuration
    assert store["secret"] == f"{{{{review-sentiment-{name}.AWS_SECRET_ACCESS_KEY}}}}"
    assert store["path"] == "s3://reviews"
    assert store["client_kwargs"] == {"endpoint_url": "https://s3.amazonaws.com"}
    assert "HF_TOKEN" not in file.secrets, "empty variables are dropped"


def test_all_missing_variables_are_reported_at_once(
    environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("S3_BUCKET")
    monkeypatch.setenv("GPU_HOST", "")
    with pytest.raises(UsageError, match=r"which are not set: GPU_HOST, S3_BUCKET\.$"):
        read_stack("gpu-ssh")
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    with pytest.raises(UsageError, match="This machine has a GPU: `--stack gpu-local` does not need them"):
        read_stack("gpu")


def test_a_remote_stack_refuses_a_local_mlflow_database(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    with pytest.raises(UsageError, match=r"cannot reach sqlite:///mlflow\.db\. Set MLFLOW_TRACKING_URI"):
        read_stack("gpu-ssh")


@pytest.mark.parametrize("name", ["gpu", "gpu-ssh"])
def test_more_processes_than_the_stack_has_gpus_are_refused_before_the_first_step(
    environment: None, name: str
) -> None:
    """The GPUs are on another machine, so the stack file must say how many there are."""
    settings = Settings.model_validate({"model": {"device": "cuda"}, "training": {"processes": 2}})
    with pytest.raises(UsageError, match="processes is 2, and each needs a GPU: a step sees 1"):
        Preflight(settings, read_stack(name)).device()


@pytest.mark.parametrize(("indices", "gpus"), [("0", 1), ("0,1", 2), ([0, 1], 2), ("", None)])
def test_the_gpus_of_a_step_operator_are_counted(indices: object, gpus: int | None) -> None:
    operator = Component(flavor="local_gpu", configuration={"gpu_indices": indices})
    assert StackFile(name="own", components={"step_operator": operator}).gpus == gpus


def test_an_unknown_stack_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"'gpu-lokal' is unknown\. Did you mean 'gpu-local'\?"):
        read_stack("gpu-lokal")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "orchestrater: {flavor: local}",
            r"'orchestrater' is not a kind of component\. Did you mean 'orchestrator'",
        ),
        ("orchestrator: {flavour: local}", r"own\.yaml: orchestrator\.flavor"),
        ("image: {}", r"own\.yaml: image\.base_image"),
    ],
)
def test_an_invalid_file_is_reported_with_the_location(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "own.yaml").write_text(text)
    monkeypatch.setattr(files, "DIRECTORY", tmp_path)
    with pytest.raises(UsageError, match=message):
        read_stack("own")


@pytest.mark.parametrize(
    ("shards", "evaluating"),
    [(1, {"evaluate"}), (2, {"evaluate_shard_0", "evaluate_shard_1"})],
)
def test_steps_that_run_a_model_need_a_gpu(shards: int, evaluating: set[str]) -> None:
    settings = Settings(evaluation=EvaluationSettings(shards=shards))
    assert gpu_steps(settings) == {"evaluate_baseline", "finetune", "evaluate_champion", *evaluating}
    assert gpu_steps(settings) < set(step_names(settings))


def test_a_robustness_probe_adds_a_gpu_step() -> None:
    settings = Settings(robustness=RobustnessSettings(samples=40))
    added = set(step_names(settings)) - set(step_names(Settings()))
    assert added == gpu_steps(settings) - gpu_steps(Settings()) == {"probe_robustness"}


def test_gpu_steps_run_on_the_step_operator(environment: None) -> None:
    remote = ActiveStack("gpu-ssh", "ssh_host", read_stack("gpu-ssh").image)
    assert remote.gpu_options == {"step_operator": True}
    docker = remote.pipeline_options["settings"]["docker"]
    assert Path(docker["dockerfile"]).is_file()
    assert docker["parent_image_build_config"]["build_options"]["buildargs"] == {
        "BASE_IMAGE": "python:3.11-slim",
        "TORCH_BUILD": "",
    }

    cluster = ActiveStack("gpu", "kubernetes_gpu", remote.image)
    assert cluster.gpu_options["retry"]["max_retries"] > 0
    local = ActiveStack("gpu-local", "local_gpu", None)
    assert local.gpu_options == {"step_operator": True}
    assert local.pipeline_options == {}


def test_a_clusters_own_names_are_variables(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No node label is common to GKE, EKS and NVIDIA's operator: the request for a GPU chooses the node."""
    variables = {
        "GPU_NODE_SELECTOR": "{cloud.google.com/gke-accelerator: nvidia-l4}",
        "GPU_TOLERATIONS": "[{key: dedicated, value: gpu, effect: NoSchedule}]",
        "GPU_RUNTIME_CLASS": "nvidia",
        "GPU_CACHE_VOLUME": "{name: cache, persistentVolumeClaim: {claimName: models}}",
    }
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    pod = read_stack("gpu").components["step_operator"].configuration["pod_settings"]
    assert "node_selectors" not in pod
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert {"name": "cache", "emptyDir": {}} in pod["volumes"]
    assert "runtime_class_name" not in pod["additional_pod_spec_args"]

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pod = read_stack("gpu").components["step_operator"].configuration["pod_settings"]
    assert pod["node_selectors"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert pod["tolerations"] == [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "models"}} in pod["volumes"]
    assert pod["additional_pod_spec_args"]["runtime_class_name"] == "nvidia"

    monkeypatch.setenv("GPU_NODE_SELECTOR", "{a: b")
    with pytest.raises(UsageError, match="GPU_NODE_SELECTOR must be YAML"):
        read_stack("gpu")
