"""How long a training takes: its floating-point operations divided by the device's throughput.

A token costs two operations per weight in the forward pass and two in the backward pass (the weights are
frozen, so they have no gradient), and two more if activations are recomputed (J. Kaplan et al., arXiv
2001.08361, section 2.1, without the weights' gradient).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from review_sentiment.resources.memory import ModelShape

GPU_UTILISATION = 0.3
"""Fraction of a GPU's peak that QLoRA reaches: an assumption, not measured."""
CPU_UTILISATION = 0.5
"""Fraction of the speed of matrix products that a training reaches: 0.51 on two AVX512-BF16 cores with the
embedded model and the default run (1,037 tokens a second)."""
PROBE_ROWS = 1_024
PROBE_PRODUCTS = 4
"""Products of one measurement: about 10 ms for the embedded model on two cores."""
PROBE_SECONDS = 1.0
"""In 2 of 14 new processes both threads started on the same core, for up to half a second."""


@dataclass(frozen=True)
class Gpu:
    """A common GPU: its memory in bytes, and its dense peak in operations a second at its best precision."""

    name: str
    memory: float
    peak: float
    precision: str


GPUS = (
    Gpu("T4", 16 * 2**30, 65e12, "fp16"),
    Gpu("L4", 24 * 2**30, 121e12, "bf16"),
    Gpu("RTX 4090", 24 * 2**30, 165e12, "bf16"),
    Gpu("A100 40 GB", 40 * 2**30, 312e12, "bf16"),
    Gpu("A100 80 GB", 80 * 2**30, 312e12, "bf16"),
    Gpu("H100 80 GB", 80 * 2**30, 989e12, "bf16"),
)
"""Peaks are the vendor's dense figures."""


def operations_per_token(shape: ModelShape, recomputed: float) -> float:
    """Return the floating-point operations of training on one token, for a fraction of recomputed layers."""
    return (4 + 2 * recomputed) * float(shape.linear_parameters)


@cache
def matrix_speed(shape: ModelShape, dtype: torch.dtype, device: str) -> float:
    """Measure the operations per second of a device in the product of the model's gated layer.

    The best of many short measurements counts: whatever else runs slows the others. Measured once per process
    for each shape, type and device.
    """
    from review_sentiment.resources.device import free_memory

    try:
        return _measured_speed(shape, dtype, device)
    finally:
        free_memory()


def _measured_speed(shape: ModelShape, dtype: torch.dtype, device: str) -> float:
    import torch

    x = torch.randn(PROBE_ROWS, shape.hidden, device=device).to(dtype)
    weight = torch.randn(shape.hidden, shape.intermediate, device=device).to(dtype)

    def seconds() -> float:
        before = time.perf_counter()
        for _ in range(PROBE_PRODUCTS):
            x @ weight
        if device == "cuda":  # the call returns before the product is done
            torch.cuda.synchronize()
        return time.perf_counter() - before

    seconds()  # compiles the kernel
    until, least = time.perf_counter() + PROBE_SECONDS, math.inf
    while time.perf_counter() < until:
        least = min(least, seconds())
    return 2.0 * x.numel() * shape.intermediate * PROBE_PRODUCTS / least


def scoring_seconds(shape: ModelShape, tokens: float, operations_per_second: float) -> float:
    """Return the seconds that a forward pass of `tokens` tokens takes."""
    return tokens * 2 * float(shape.linear_parameters) / operations_per_second


def training_seconds(
    shape: ModelShape, tokens: float, operations_per_second: float, recomputed: float
) -> float:
    """Return the seconds that a training on `tokens` tokens takes."""
    return tokens * operations_per_token(shape, recomputed) / operations_per_second
