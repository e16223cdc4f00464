"""What this machine has at the moment: processor, memory, disk and GPUs.

torch is not imported: NVML reports the GPUs, and torch's version file whether it is a CUDA build.
"""

from __future__ import annotations

import importlib.util
import runpy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from front_door.doctor.checks import Check, run_check
from front_door.state import existing_parent
from review_sentiment.cache import cache_directory
from review_sentiment.models.gpu_driver import Driver, build_problem, read_driver
from review_sentiment.resources.memory_limit import tightest_limit

CPU_SECONDS = 0.1
"""The processor's load is measured over this interval, so that pages do not disturb each other's figures."""
DRIVER_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Gpu:
    """A GPU as NVML reports it: memory in bytes, utilisation 0-1, degrees Celsius.

    A value that the GPU does not report is None.
    """

    index: int
    name: str
    memory: float | None
    used: float | None
    utilisation: float | None
    temperature: float | None


@dataclass(frozen=True)
class Machine:
    """The machine at one moment: bytes, and the processor's load 0-1.

    `checks` explain why no GPU can be used; empty if one can.
    """

    cores: int
    cpu_load: float
    memory: float
    memory_free: float
    disk_free: float
    disk_place: str
    gpus: tuple[Gpu, ...]
    checks: tuple[Check, ...]


def read_machine() -> Machine:
    """Read the machine's current state."""
    gpus, nvml = read_gpus()
    torch = check_torch(read_driver() if gpus else None)
    limit = tightest_limit()
    cache = cache_directory()
    return Machine(
        cores=psutil.cpu_count() or 1,
        cpu_load=psutil.cpu_percent(CPU_SECONDS) / 100,
        memory=limit.total,
        memory_free=limit.free,
        disk_free=shutil.disk_usage(existing_parent(cache)).free,
        disk_place=str(cache),
        gpus=gpus,
        checks=() if gpus and torch.ok else (check_driver(), nvml, torch),
    )


def has_gpu(machine: Machine) -> bool:
    """Return whether training can use a GPU: there is one, and torch is built for it."""
    return bool(machine.gpus) and not machine.checks


def read_gpus() -> tuple[tuple[Gpu, ...], Check]:
    """Return the GPUs, and the check of NVML itself."""
    import pynvml

    try:
        pynvml.nvmlInit()  # NVML counts the calls; only the first one loads it
        gpus = tuple(_read_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        advice = (
            "Install NVIDIA's driver; start a container with --gpus=all. If the versions of driver and "
            "kernel module differ, reinstall the driver and restart the machine."
        )
        return (), Check("NVML", False, str(error), advice)
    return gpus, Check("NVML", bool(gpus), f"{len(gpus)} GPUs", "" if gpus else "The driver sees no GPU.")


def _read_gpu(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)

    def reported(read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(handle, *arguments)
        except pynvml.NVMLError:  # some GPUs, and their MIG instances, do not report everything
            return None

    memory = reported(pynvml.nvmlDeviceGetMemoryInfo)
    rates = reported(pynvml.nvmlDeviceGetUtilizationRates)
    return Gpu(
        index=index,
        name=reported(pynvml.nvmlDeviceGetName) or f"GPU {index}",
        memory=memory and memory.total,
        used=memory and memory.used,
        utilisation=rates and rates.gpu / 100,
        temperature=reported(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
    )


def check_driver() -> Check:
    """Check that the kernel module of NVIDIA's driver is loaded."""
    advice = "Install NVIDIA's driver (Linux), or use a machine with a GPU."
    if not DRIVER_FILE.exists():
        return Check("driver", False, "not loaded", advice)
    return run_check("driver", lambda: DRIVER_FILE.read_text(encoding="utf-8").splitlines()[0], advice)


def check_torch(driver: Driver | None) -> Check:
    """Check that torch is a build for CUDA that the driver runs, without importing it."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return Check("torch", False, "not installed", "make install")
    built = runpy.run_path(str(Path(torch.origin).with_name("version.py")))
    version, cuda = built["__version__"], built["cuda"]
    found = f"{version}, {f'built for CUDA {cuda}' if cuda else 'a build without CUDA'}"
    problem = build_problem(driver.version, version, cuda) if driver else ""
    return Check("torch", bool(cuda) and not problem, found, problem)
