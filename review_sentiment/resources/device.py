"""The memory of a device: how much may be used, how much is in use, and how to release it."""

from __future__ import annotations

import logging
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from review_sentiment.errors import first_line
from review_sentiment.resources.memory_limit import tightest_limit

if TYPE_CHECKING:
    from review_sentiment.models.compute import ComputePlan

logger = logging.getLogger(__name__)

GPU_USABLE = 0.95
"""Fraction of a GPU's free memory that may be used: the rest is fragmentation and other processes."""
CPU_USABLE = 0.9
CUDA_CONTEXT_BYTES = 0.55e9
"""What a process has on a GPU outside of PyTorch's allocator: the context, kernels, the handles of libraries.
An assumption: `benchmarks/gpu_check.py` measures it."""


def free_memory() -> None:
    """Return the memory of models that are no longer used to the system and the GPU.

    Models contain reference cycles, so only the garbage collector frees them, and glibc keeps what was freed:
    1.1 GB after training the embedded model.
    """
    import ctypes
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def usable_bytes(device: str) -> float:
    """Return the bytes that a training may use: of the GPU, or of this machine or container."""
    if device == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info()
        return float(GPU_USABLE * (free + torch.cuda.memory_reserved()))
    return float(CPU_USABLE * tightest_limit().free + process_bytes())


def free_bytes(device: str) -> float:
    """Return the bytes that may be allocated on top of what this process has on the device."""
    if device == "cuda":
        import torch

        return usable_bytes(device) - GPU_USABLE * torch.cuda.memory_allocated()
    return usable_bytes(device) - process_bytes()


def process_bytes() -> int:
    """Return the memory of this process in bytes."""
    own: int = psutil.Process().memory_info().rss
    return own


def device_name(plan: ComputePlan) -> str:
    """Return the device and its memory, for messages."""
    if plan.device == "cuda":
        import torch

        properties = torch.cuda.get_device_properties(0)
        return f"{properties.name} ({properties.total_memory / 1e9:.0f} GB)"
    limit = tightest_limit()
    return f"{limit.name} ({limit.total / 1e9:.1f} GB)"


class DeviceReadings:
    """What a device reports while it trains. Only memory is always there.

    NVML, which reports the utilisation, fails on MIG slices, on vGPUs and in some containers. After its first
    error it is not asked again: the training goes on, with one curve less.
    """

    def __init__(self) -> None:
        self._reports_utilisation = True

    def read(self, device: str) -> dict[str, float]:
        """Return `memory_gb` (1e9 bytes) of the GPU or this process, and `gpu_utilisation` (0-1) of a GPU."""
        if device != "cuda":
            return {"memory_gb": process_bytes() / 1e9}
        import torch

        readings = {"memory_gb": (torch.cuda.memory_reserved() + CUDA_CONTEXT_BYTES) / 1e9}
        if self._reports_utilisation:
            try:
                readings["gpu_utilisation"] = torch.cuda.utilization() / 100
            except Exception as error:  # noqa: BLE001 - NVML's errors have no common base with torch's
                self._reports_utilisation = False
                logger.info("The GPU's utilisation is not recorded: %s", first_line(error))
        return readings


def reset_peak(device: str) -> None:
    """Let `peak_memory_gb` begin again: what the process needed for something else does not count."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif sys.platform == "linux":
        with suppress(OSError):  # /proc is read-only in some containers: then the peak is that of the process
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_gb(device: str) -> float:
    """Return the peak memory since `reset_peak` in 1e9 bytes: of this process on the GPU, or in memory.

    On a GPU that is what the allocator reserved, which is more than was ever allocated at a time, and the
    context.
    """
    if device == "cuda":
        import torch

        return (torch.cuda.max_memory_reserved() + CUDA_CONTEXT_BYTES) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
