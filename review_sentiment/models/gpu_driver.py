"""Why torch cannot use a GPU that is in this machine, and which build of torch the GPU's driver can run.

torch 2.13 from the package registry is built for CUDA 13, which needs driver 580. With an older driver,
`torch.cuda.is_available()` is False, as on a machine without a GPU: only NVML tells the two apart.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

OLDEST_DRIVERS = {13: 580, 12: 525, 11: 450}
"""The oldest driver branch on Linux for each major version of CUDA: a driver runs all its minor versions."""
REGISTRY_CUDA = "13.0"
"""The version of CUDA that torch is built for in the package registry, which docker/Dockerfile installs."""
BUILDS = (("cu130", 580), ("cu129", 570), ("cu126", 525))
"""The builds of torch 2.13 in PyTorch's own index, and the oldest driver that each is suggested for.
Blackwell cards need driver 570, and cu129 or newer."""
HIDDEN = ("", "-1")
"""Values of CUDA_VISIBLE_DEVICES that hide every GPU on purpose."""


@dataclass(frozen=True)
class Driver:
    """What NVML reports: the version of the driver, and the name of each GPU."""

    version: str
    gpus: tuple[str, ...]


def read_driver() -> Driver | None:
    """Return the driver of this machine's GPUs; None if NVML does not report any."""
    import pynvml

    try:
        pynvml.nvmlInit()
        version, count = pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlDeviceGetCount()
        return Driver(version, tuple(_name(pynvml, index) for index in range(count))) if count else None
    except pynvml.NVMLError:  # no driver, no GPU, or a container that was started without it
        return None


def _name(pynvml: Any, index: int) -> str:
    try:
        return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index)))
    except pynvml.NVMLError:
        return f"GPU {index}"


def fits(driver: str, cuda: str) -> bool:
    """Return whether a driver such as 550.54 runs programs built for a version of CUDA such as 13.0."""
    oldest = OLDEST_DRIVERS.get(_first_number(cuda), max(OLDEST_DRIVERS.values()))
    return _first_number(driver) >= oldest


def fitting_build(driver: str) -> str | None:
    """Return the build of torch that a driver runs, such as cu126; None if it is too old for all of them."""
    return next((build for build, oldest in BUILDS if _first_number(driver) >= oldest), None)


def cuda_of(build: str) -> str:
    """Return the version of CUDA of a build of torch: 12.6 for cu126."""
    digits = build.removeprefix("cu")
    return f"{digits[:-1]}.{digits[-1:]}"


def build_problem(driver: str, torch: str, cuda: str | None) -> str:
    """Return why a build of torch does not run on a driver, and what to do; "" if it does.

    `torch` is its version, such as 2.13.0; `cuda` is None for a build without CUDA.
    """
    if cuda and fits(driver, cuda):
        return ""
    built = f"built for CUDA {cuda}, too new for" if cuda else "a build without CUDA, for"
    advice = "Update the driver."
    if build := fitting_build(driver):
        exactly = f"torch=={torch.split('+', maxsplit=1)[0]}+{build}"
        install = f"pip install {exactly} --index-url https://download.pytorch.org/whl/{build}"
        advice = f"{'Update the driver, or' if cuda else 'Install'}: {install}"
    return f"torch {torch} is {built} driver {driver}. {advice}"


def _first_number(version: str) -> int:
    return int(version.split(".", maxsplit=1)[0])


def unusable_gpu() -> str:
    """Return why torch cannot use this machine's GPU, and what to do; "" if there is none or it is hidden."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.cuda.is_available() or visible in HIDDEN or (driver := read_driver()) is None:
        return ""
    problem = build_problem(driver.version, torch.__version__, torch.version.cuda)
    if not problem:
        shown = "not set" if visible is None else repr(visible)
        problem = f"{_error_of_cuda()} CUDA_VISIBLE_DEVICES is {shown}."
    return f"This machine has a GPU ({', '.join(driver.gpus)}) that torch cannot use. {problem}"


def _error_of_cuda() -> str:
    import torch

    from review_sentiment.errors import first_line

    try:
        torch.zeros(1, device="cuda")
    except Exception as error:  # noqa: BLE001 - whatever the driver says is the reason
        return f"{type(error).__name__}: {first_line(error)}."
    return "CUDA starts, and reports no device."
