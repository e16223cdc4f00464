"""What this machine has, read as often as a page likes: processor, memory, disk and GPUs.

Nothing here imports torch: a GPU is asked through `nvidia-smi`, and torch's CUDA build is read
from its version file.
"""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from review_sentiment.cache import cache_directory

QUERY = ("index", "name", "memory.total", "memory.used", "utilization.gpu", "temperature.gpu")
MIB = 2**20
SMI_SECONDS = 5.0
"""After which `nvidia-smi` counts as hanging, as it does when a driver is in trouble."""
CPU_SECONDS = 0.1
"""Over which the processor is looked at: since the last look would be since that of any other page."""
DRIVER_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Gpu:
    """A GPU as `nvidia-smi` sees it: memory in bytes, utilisation 0-1, degrees Celsius.

    A value that the GPU does not report is None.
    """

    index: int
    name: str
    memory: float | None
    used: float | None
    utilisation: float | None
    temperature: float | None


@dataclass(frozen=True)
class Look:
    """One thing that was looked at in search of a GPU: what was found, and whether it is as it should be."""

    name: str
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Machine:
    """What there is at one moment; bytes, and shares of 0-1. `checks` is empty where there is a GPU."""

    cores: int
    cpu_load: float
    memory: float
    memory_free: float
    disk_free: float
    disk_place: str
    gpus: tuple[Gpu, ...]
    checks: tuple[Look, ...]


def read_machine() -> Machine:
    """Look at the machine."""
    gpus, smi = read_gpus()
    torch = look_at_torch()
    usable = bool(gpus) and torch.ok
    memory = psutil.virtual_memory()
    place = next(parent for parent in (cache_directory(), *cache_directory().parents) if parent.exists())
    return Machine(
        cores=psutil.cpu_count() or 1,
        cpu_load=psutil.cpu_percent(CPU_SECONDS) / 100,
        memory=memory.total,
        memory_free=memory.available,
        disk_free=shutil.disk_usage(place).free,
        disk_place=str(cache_directory()),
        gpus=gpus,
        checks=() if usable else (smi, look_at_driver(), torch),
    )


def has_gpu(machine: Machine) -> bool:
    """Tell whether a training can use a GPU: there is one, and torch is built for it."""
    return bool(machine.gpus) and not machine.checks


def read_gpus() -> tuple[tuple[Gpu, ...], Look]:
    """Ask `nvidia-smi`; return the GPUs, and what was found of the tool itself."""
    name = "nvidia-smi"
    program = shutil.which(name)
    if program is None:
        return (), Look(
            name,
            False,
            "not found on the PATH",
            "Install NVIDIA's driver; in a container, start it --gpus=all.",
        )
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        advice = "Look into the system's log; restart the machine when the driver hangs."
        return (), Look(name, False, f"{type(error).__name__}: {error}", advice)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        advice = "Driver and kernel module must be of one version: reinstall the driver, then restart."
        return (), Look(name, False, f"exit code {done.returncode}: {said[0]}", advice)
    gpus = parse_gpus(done.stdout)
    return gpus, Look(name, bool(gpus), f"{len(gpus)} GPUs", "" if gpus else "The driver sees no GPU.")


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs that a CSV answer of `nvidia-smi` names, in the order of `QUERY`; memory is in MiB."""
    gpus = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) == len(QUERY):
            total, used, busy, degrees = (_number(cell) for cell in row[2:])
            gpus.append(
                Gpu(
                    index=int(row[0]),
                    name=row[1].strip(),
                    memory=None if total is None else total * MIB,
                    used=None if used is None else used * MIB,
                    utilisation=None if busy is None else busy / 100,
                    temperature=degrees,
                )
            )
    return tuple(gpus)


def look_at_driver() -> Look:
    """Look for the kernel module of NVIDIA's driver."""
    if DRIVER_FILE.is_file():
        return Look("driver", True, DRIVER_FILE.read_text(encoding="utf-8").splitlines()[0])
    advice = "Install NVIDIA's driver (Linux), or give this machine a GPU."
    return Look("driver", False, f"no {DRIVER_FILE}: the kernel module is not loaded", advice)


def look_at_torch() -> Look:
    """Read from torch's version file whether it is a CUDA build; torch is not imported."""
    name = "torch"
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return Look(name, False, "not installed", "make install")
    file = Path(found.origin).with_name("version.py")
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    version, cuda = (_assigned(text, name) for name in ("__version__", "cuda"))
    if cuda:
        return Look(name, True, f"{version}, built for CUDA {cuda}")
    advice = (
        "Install a CUDA build of torch: pip install torch --index-url https://download.pytorch.org/whl/cu126"
    )
    return Look(name, False, f"{version or 'unknown version'} is a build without CUDA", advice)


def _assigned(source: str, name: str) -> str:
    """Return the text that a Python source assigns to a name, or an empty one."""
    found = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]*)['\"]", source, re.MULTILINE)
    return found[1] if found else ""


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # "[N/A]"
        return None
