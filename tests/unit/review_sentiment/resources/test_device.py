"""The peak of a training is what its process had on the device since it began."""

from __future__ import annotations

import sys

import pytest
import torch

from review_sentiment.resources.device import CUDA_CONTEXT_BYTES, peak_memory_gb, reset_peak


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
