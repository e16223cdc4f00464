"""The speed of a device is that of its undisturbed moments."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from review_sentiment.config import Settings
from review_sentiment.models.base_model import identify
from review_sentiment.resources import throughput
from review_sentiment.resources.memory import shape_of

SHAPE = replace(shape_of(identify(Settings().model)), hidden=8, intermediate=16)


def test_a_disturbed_measurement_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    first, end, disturbed, quiet = [0.0, 9.0], [9.0], [9.0, 9.0, 9.4], [9.4, 9.4, 9.5]
    clock = iter([*first, *end, *disturbed, *quiet, 9.5, 9.5, 10.1, 10.1])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    speed = throughput.matrix_speed(SHAPE, torch.float32, "cpu")
    assert speed == pytest.approx(2 * throughput.PROBE_ROWS * 8 * 16 * throughput.PROBE_PRODUCTS / 0.1)


def test_a_speed_is_measured_once_for_a_shape_a_type_and_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "PROBE_SECONDS", 0.01)
    other = replace(SHAPE, hidden=9)
    assert throughput.matrix_speed(other, torch.float32, "cpu") == throughput.matrix_speed(
        other, torch.float32, "cpu"
    )
