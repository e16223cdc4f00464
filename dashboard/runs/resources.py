"""What a run's processes use of this machine, and how busy its GPUs are."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from dashboard.queries.machine import Gpu, read_gpus

if TYPE_CHECKING:
    from collections.abc import Mapping

GIGABYTE = 1e9


def resources_of(process: psutil.Process | None) -> Mapping[str, str]:
    """Return the memory and the cores that a process and its children use; nothing if it has ended.

    A GPU's figures include other programs: in a container, NVML reports the process ids of the host.
    """
    if process is None:
        return {}
    with suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        memory = seconds = 0.0
        for each in family:
            with suppress(psutil.NoSuchProcess):
                memory += each.memory_info().rss
                times = each.cpu_times()
                seconds += times.user + times.system
        cores = seconds / max(1.0, time.time() - process.create_time())
        return {
            "Memory": f"{memory / GIGABYTE:.1f} of {psutil.virtual_memory().total / GIGABYTE:.0f} GB",
            "Processor": f"{cores:.1f} of {psutil.cpu_count()} cores on average",
            "Processes": f"{len(family)}, the first with id {process.pid}",
            **{f"GPU {gpu.index} (all programs)": _load(gpu) for gpu in read_gpus()[0]},
        }
    return {}


def _load(gpu: Gpu) -> str:
    """Return how busy a GPU is, as far as it reports it."""
    busy = "" if gpu.utilisation is None else f"{gpu.utilisation:.0%} busy"
    used = ""
    if gpu.memory and gpu.used is not None:
        used = f"{gpu.used / GIGABYTE:.1f} of {gpu.memory / GIGABYTE:.0f} GB"
    return f"{gpu.name}: {', '.join(filter(None, (busy, used))) or 'reports no load'}"
