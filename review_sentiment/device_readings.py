"""What a device is doing now: memory in use, and how busy a GPU is."""

from __future__ import annotations

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
