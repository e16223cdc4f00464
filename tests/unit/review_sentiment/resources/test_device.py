"""The peak of a training is what its process had on the device; readings that fail do not end it."""

from __future__ import annotations

import logging
import sys

import pytest
import torch
from pynvml import NVMLError_NotSupported

from review_sentiment.resources.device import CUDA_CONTEXT_BYTES, DeviceReadings, peak_memory_gb, reset_peak


def test_on_a_gpu_the_peak_is_what_was_reserved_and_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program can use neither of them, although less was ever allocated at a time."""
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 6e9)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 8e9)
    assert peak_memory_gb("cuda") == (8e9 + CUDA_CONTEXT_BYTES) / 1e9


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reset the peak of a process")
def test_what_a_process_needed_before_does_not_count() -> None:
    reset_peak("cpu")
    before = peak_memory_gb("cpu")
    large = torch.ones(80_000_000)  # 0.32 GB
    assert peak_memory_gb("cpu") > before + 0.3
    del large
    reset_peak("cpu")
    assert peak_memory_gb("cpu") < before + 0.1


@pytest.mark.parametrize(
    "error",
    [
        NVMLError_NotSupported(),  # a MIG slice or a vGPU
        RuntimeError("cuda driver can't be loaded, is cuda enabled?"),  # a container
        ModuleNotFoundError("nvidia-ml-py does not seem to be installed"),
    ],
)
def test_a_gpu_that_does_not_report_its_utilisation_is_asked_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []

    def utilization() -> int:
        asked.append(1)
        raise error

    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 2e9)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    readings = DeviceReadings()
    with caplog.at_level(logging.INFO):
        assert [readings.read("cuda") for _ in range(3)] == [
            {"memory_gb": (2e9 + CUDA_CONTEXT_BYTES) / 1e9}
        ] * 3
    assert len(asked) == 1
    assert [str(error) in message for message in caplog.messages] == [True]


def test_a_gpu_that_reports_its_utilisation_is_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 0)
    monkeypatch.setattr(torch.cuda, "utilization", iter((40, 80)).__next__)
    readings = DeviceReadings()
    assert [readings.read("cuda")["gpu_utilisation"] for _ in range(2)] == [0.4, 0.8]
