"""The memory of a device: how much may be used, how much is in use, and how to release it."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from review_sentiment.resources.memory_limit import tightest_limit

if TYPE_CHECKING:
    from review_sentiment.models.compute import ComputePlan

GPU_USABLE = 0.95
"""Fraction of a GPU's free memory that may be used: the rest is fragmentation and other processes."""
CPU_USABLE = 0.9


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
    return float(CPU_USABLE * tightest_limit().free + psutil.Process().memory_info().rss)


def free_bytes(device: str) -> float:
    """Return the bytes that may be allocated on top of what this process has on the device."""
    if device == "cuda":
        import torch

        return usable_bytes(device) - GPU_USABLE * torch.cuda.memory_allocated()
    own: int = psutil.Process().memory_info().rss
    return usable_bytes(device) - own


def device_name(plan: ComputePlan) -> str:
    """Return the device and its memory, for messages."""
    if plan.device == "cuda":
        import torch

        properties = torch.cuda.get_device_properties(0)
        return f"{properties.name} ({properties.total_memory / 1e9:.0f} GB)"
    limit = tightest_limit()
    return f"{limit.name} ({limit.total / 1e9:.1f} GB)"


def read_device(device: str) -> dict[str, float]:
    """Return `memory_gb` (1e9 bytes) of the GPU or this process, and `gpu_utilisation` (0-1) of a GPU."""
    if device != "cuda":
        return {"memory_gb": psutil.Process().memory_info().rss / 1e9}
    import torch

    readings = {"memory_gb": torch.cuda.memory_allocated() / 1e9}
    with suppress(RuntimeError):  # some GPUs do not report it: then there is one curve less
        readings["gpu_utilisation"] = torch.cuda.utilization() / 100
    return readings


def peak_memory_gb(device: str) -> float:
    """Return the peak memory so far in 1e9 bytes: of the GPU, or of this process."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
