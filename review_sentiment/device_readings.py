"""What a device is doing: memory in use and at its peak, and how busy a GPU is."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

import psutil


def read_device(device: str) -> dict[str, float]:
    """Return `memory_gb` (1e9 bytes) of the GPU or this process, and `gpu_utilisation` (0-1) of a GPU."""
    if device != "cuda":
        return {"memory_gb": psutil.Process().memory_info().rss / 1e9}
    import torch

    readings = {"memory_gb": torch.cuda.memory_allocated() / 1e9}
    with suppress(ModuleNotFoundError, RuntimeError):  # a curve less where the extra `gpu` is not installed
        readings["gpu_utilisation"] = torch.cuda.utilization() / 100
    return readings


def peak_memory_gb(device: str) -> float:
    """Return the most memory taken so far in 1e9 bytes: of the GPU, or of this process."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
