"""Whether a CPU computes faster in BF16 than in FP32. That it has the instructions does not tell.

On two cores of a Xeon with AVX512-BF16, but without AMX, matrix products in BF16 have half the speed of FP32
(85 against 160 GFLOP/s a core): training in FP32 is 1.6 times as fast there (470 against 298 tokens/s), and
scoring 1.75 times. On other CPUs with the same instructions BF16 is the faster one.
"""

from __future__ import annotations

import time
from functools import cache

ROWS, WIDTH, OUTPUTS = 256, 576, 1_536
"""Of the products that are timed: those of the embedded model's gated layer. They take 3 ms on a core."""
ROUNDS = 6


@cache
def bf16_speed_up() -> float:
    """Return how many times as fast a matrix product is in BF16 as in FP32, measured once per process.

    The two are timed in turn, and the best of each counts: whatever else runs slows the others.
    """
    import torch

    operands = [
        (torch.ones(ROWS, WIDTH, dtype=dtype), torch.ones(OUTPUTS, WIDTH, dtype=dtype))
        for dtype in (torch.float32, torch.bfloat16)
    ]
    least = [float("inf"), float("inf")]
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):  # the first round compiles the kernels, and is never the best
            for number, (rows, weight) in enumerate(operands):
                start = time.perf_counter()
                torch.nn.functional.linear(rows, weight)
                least[number] = min(least[number], time.perf_counter() - start)
    return least[0] / least[1]
