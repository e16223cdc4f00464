"""The checks of a stack: the GPU, the model, the reviews and the services that remote steps use.

Each check does what a run does, on a small scale: a training step on the GPU, an object that is
written, read and deleted, a command on the GPU host.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

from front_door.doctor.checks import SECONDS_TO_ANSWER, Check, run_check
from front_door.doctor.cluster.access import access_of_steps
from front_door.doctor.cluster.checks import check_cluster, require_cluster
from front_door.doctor.cluster.connection import cluster_of_stack
from front_door.doctor.cluster.probe import check_from_a_pod, last_built_image
from front_door.doctor.four_bit import train_a_4bit_layer
from front_door.doctor.gpu_host import GPU_QUERY, check_host
from front_door.doctor.s3 import check_s3
from front_door.run.preflight import Preflight
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.models.gpu_driver import unusable_gpu

if TYPE_CHECKING:
    from front_door.stack.files import StackFile
    from review_sentiment.config import Settings

UNAUTHORIZED = 401


def check_stack(file: StackFile, settings: Settings) -> Iterator[Check]:
    """Yield the checks of a stack, and of the model and reviews that the settings name."""
    if file.image is None and (file.has_step_operator or settings.model.device == "cuda"):
        yield run_check("GPU", _gpu, "Run `nvidia-smi`. Install NVIDIA's driver and a CUDA build of torch.")
        advice = "Reinstall torch and bitsandbytes for this CUDA version."
        yield run_check("4-bit on GPU", lambda: train_a_4bit_layer("cuda"), advice)
    for name, probe in Preflight(settings, file).probes().items():
        yield run_check(name, probe)
    if file.image is not None:
        yield run_check("Docker", _docker, "Start Docker here: it builds the image for remote steps.")
        remote = list(check_services(file, settings))
        if cluster := cluster_of_stack(file):
            remote += check_cluster(cluster)
        yield from remote
        if cluster and all(check.ok for check in remote):
            image = last_built_image(file.zenml_name) or file.image.base_image
            yield from check_from_a_pod(cluster, image, access_of_steps(file))


def require_services(file: StackFile, settings: Settings) -> None:
    """Check the services of a remote stack, which takes a few seconds, before anything runs.

    Raises:
        UsageError: the stack names something that its cluster does not have.
        ReviewSentimentError: a service is unavailable; the message has the advice for each of them.
    """
    if cluster := cluster_of_stack(file):
        require_cluster(cluster)
    failed = [check for check in check_services(file, settings) if not check.ok]
    if failed:
        problems = " ".join(f"{check.name}: {check.found} {check.advice}" for check in failed)
        raise ReviewSentimentError(f"The stack {file.name} is not available now. {problems}")


def check_services(file: StackFile, settings: Settings) -> Iterator[Check]:
    """Yield the checks of the machine that runs remote steps, and of the services that they use."""
    advice = "Run `zenml login URL`, or set ZENML_STORE_URL and ZENML_STORE_API_KEY."
    yield run_check("ZenML server", _zenml_server, advice)
    registry = file.components["container_registry"].configuration["uri"]
    yield run_check("registry", lambda: _registry(registry), "Start it, or correct CONTAINER_REGISTRY.")
    store = file.components["artifact_store"].configuration
    advice = (
        "Check S3_BUCKET, S3_ENDPOINT_URL and AWS_ACCESS_KEY_ID: the key must write, read and delete there."
    )
    yield run_check("S3", lambda: check_s3(store, file.secrets), advice)
    operator = file.components["step_operator"]
    if operator.flavor == "ssh_host":
        advice = "Check GPU_HOST, GPU_USER, GPU_PORT, GPU_SSH_KEY. New host? ssh-keyscan HOST >> known_hosts"
        build = file.image.torch_build if file.image else ""
        yield run_check("GPU host", lambda: check_host(operator.configuration, build, settings), advice)


def _gpu() -> str:
    import torch

    done = subprocess.run(GPU_QUERY, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=True)
    found = done.stdout.strip()
    if problem := unusable_gpu():
        raise ReviewSentimentError(problem)
    if not torch.cuda.is_available():
        raise RuntimeError(f"{found}, but it is hidden by CUDA_VISIBLE_DEVICES, or NVML does not report it")
    major, minor = torch.cuda.get_device_capability()
    return f"{found}; CUDA {torch.version.cuda}, capability {major}.{minor}"


def _zenml_server() -> str:
    from operators.zenml_store import connect

    store = connect().zen_store
    if store.url.startswith("sqlite"):
        raise RuntimeError("remote steps need a ZenML server: they cannot reach a database on this machine")
    return f"{store.url}, version {store.get_store_info().version}"


def _docker() -> str:
    import docker

    return f"version {docker.from_env(timeout=SECONDS_TO_ANSWER).version()['Version']}"


def _registry(uri: str) -> str:
    import httpx2

    host = uri.split("/", maxsplit=1)[0]
    local = host.split(":")[0] in ("127.0.0.1", "localhost")
    answer = httpx2.get(f"{'http' if local else 'https'}://{host}/v2/", timeout=SECONDS_TO_ANSWER)
    if answer.status_code == UNAUTHORIZED:
        return f"{host}, requires `docker login {host}`"
    answer.raise_for_status()
    return host
