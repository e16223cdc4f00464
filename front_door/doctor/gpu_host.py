"""The check of a GPU host that is reached by ssh: Docker, the GPU, its driver, and the disk."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from front_door.doctor.checks import SECONDS_TO_ANSWER
from front_door.run.storage import GIGABYTE, IMAGE_GB, DiskNeeds, disk_needs
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.models.base_model import identify
from review_sentiment.models.gpu_driver import REGISTRY_CUDA, cuda_of, fits, fitting_build

if TYPE_CHECKING:
    from review_sentiment.config import Settings

DOCKER_QUERY = "docker version --format '{{.Server.Version}}'"
GPU_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
CACHED = "cached"
"""Printed by the disk query if the volume of models exists: then the image does, too."""


def check_host(operator: Mapping[str, Any], build: str, settings: Settings) -> str:
    """Return what was found on the host; `build` is that of torch in the image, "" for the registry's.

    Raises:
        ReviewSentimentError: the driver is too old for the image, or the disk too small for a first run.
    """
    host = operator["hostname"]
    docker, gpus, disk = _answers(operator, [DOCKER_QUERY, " ".join(GPU_QUERY), _disk_query(operator)])
    require_driver(host, gpus, build)
    needs = disk_needs(settings, identify(settings.model), downloads=True, quantises=True)
    return f"{host}: Docker {docker}, {gpus}, {require_disk(host, disk, needs)}"


def _answers(operator: Mapping[str, Any], commands: list[str]) -> list[str]:
    """Run commands on the host and return their output.

    Raises:
        RuntimeError: a command failed.
    """
    import paramiko

    client = paramiko.SSHClient()
    client.load_host_keys(str(Path(operator["known_hosts_path"]).expanduser()))
    client.connect(
        operator["hostname"],
        port=int(operator["port"]),
        username=operator["username"],
        key_filename=str(Path(operator["ssh_key_path"]).expanduser()),
        timeout=SECONDS_TO_ANSWER,
        allow_agent=False,
        look_for_keys=False,
    )
    try:
        found = []
        for command in commands:
            _, output, errors = client.exec_command(command, timeout=SECONDS_TO_ANSWER)
            if output.channel.recv_exit_status() != 0:
                raise RuntimeError(f"`{command}` on {operator['hostname']}: {errors.read().decode().strip()}")
            found.append(output.read().decode().strip())
    finally:
        client.close()
    return found


def require_driver(host: str, gpus: str, build: str) -> None:
    """Check that the driver in the answer to GPU_QUERY runs the image's build of torch.

    Raises:
        ReviewSentimentError: it is too old.
    """
    driver = gpus.splitlines()[0].rsplit(",", 1)[-1].strip()
    cuda = cuda_of(build) if build else REGISTRY_CUDA
    if not fits(driver, cuda):
        fitting = fitting_build(driver)
        raise ReviewSentimentError(
            f"{host} has driver {driver}, which is too old for torch in the image, built for CUDA {cuda}. "
            f"Update the driver{f', or set TORCH_BUILD={fitting} here' if fitting else ''}."
        )


def _disk_query(operator: Mapping[str, Any]) -> str:
    """Return a command that prints the free bytes of Docker's disk, if it can see them, and CACHED."""
    mounts = [option for option in operator["docker_run_args"] if option.endswith(":/cache")]
    place = shlex.quote(mounts[0].removeprefix("--volume=").removesuffix(":/cache")) if mounts else "none"
    directory = "\"$(docker info --format '{{.DockerRootDir}}')\""
    return (
        f"df --output=avail -B1 {directory} 2>/dev/null | tail -1; "
        f"if test -d {place}/huggingface || docker volume inspect {place} >/dev/null 2>&1; "
        f"then echo {CACHED}; fi"
    )


def require_disk(host: str, answer: str, needs: DiskNeeds) -> str:
    """Check the answer to the disk query; a first run also stores the image, the model and its 4-bit copy.

    Raises:
        ReviewSentimentError: there is too little space.
    """
    words = answer.split()
    if not words or not words[0].isdigit():
        return "free disk space unknown"  # Docker's directory is hidden from the user who signs in
    free = int(words[0]) / GIGABYTE
    needed = needs.checkpoints if CACHED in words else IMAGE_GB + needs.total
    if free < needed:
        raise ReviewSentimentError(
            f"{host}: {free:.1f} GB are free on Docker's disk, and a run needs {needed:.1f}. A first run "
            f"stores (in GB) the image {IMAGE_GB:.0f}, {needs}. Free some space there."
        )
    return f"{free:.0f} GB free"
