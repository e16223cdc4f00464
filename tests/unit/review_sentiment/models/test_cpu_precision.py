"""The precision of a CPU is chosen by a measurement: instructions alone do not tell."""

from __future__ import annotations

import pytest
import torch

from review_sentiment.models import compute, cpu_speed
from review_sentiment.models.compute import plan_compute


@pytest.mark.parametrize(
    ("capabilities", "speed_up", "precision", "why"),
    [
        ({}, 4.0, "fp32", "the CPU has no BF16 instructions"),
        ({"avx512_bf16": True}, 0.53, "fp32", "0.5 times the speed of FP32"),
        ({"avx512_bf16": True}, 1.1, "fp32", "1.1 times the speed of FP32"),
        ({"avx512_bf16": True}, 1.7, "bf16", "1.7 times the speed of FP32"),
        ({"amx_bf16": True}, 6.0, "bf16", "6.0 times the speed of FP32"),
    ],
)
def test_bf16_needs_instructions_and_must_be_faster(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], speed_up: float, precision: str, why: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(compute, "bf16_speed_up", lambda: speed_up)
    plan = plan_compute("cpu")
    assert plan.precision == precision
    assert why in plan.reasons["precision"]


def test_the_best_of_each_counts_and_a_process_decides_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_speed.bf16_speed_up.cache_clear()
    took = iter([9.0, 9.0, *[4.0, 2.0, 3.0, 1.0, 8.0, 8.0] * cpu_speed.ROUNDS])
    clock = [0.0]

    def now() -> float:
        return clock[0]

    def linear(*_: torch.Tensor) -> None:
        clock[0] += next(took)

    monkeypatch.setattr("review_sentiment.models.cpu_speed.time.perf_counter", now)
    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    assert cpu_speed.bf16_speed_up() == 3.0
    monkeypatch.undo()
    assert cpu_speed.bf16_speed_up() == 3.0
    cpu_speed.bf16_speed_up.cache_clear()
