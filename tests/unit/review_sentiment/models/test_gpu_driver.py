"""A GPU that torch cannot use is named, with the build of torch that fits its driver."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from review_sentiment.errors import UsageError
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.gpu_driver import cuda_of, fits, fitting_build, unusable_gpu


class NvmlError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return an NVML with an L4 and the driver 550, beside a torch for CUDA 13 that sees no GPU."""
    fake = SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda _handle: "NVIDIA L4",
        nvmlSystemGetDriverVersion=lambda: "550.54.15",
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "__version__", "2.13.0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("driver", "cuda", "said"),
    [
        ("550.54.15", "13.0", "driver 550.54.15. Update the driver, or: pip install torch==2.13.0+cu126"),
        ("575.57.08", "13.0", "torch==2.13.0+cu129 --index-url https://download.pytorch.org/whl/cu129"),
        ("470.82.01", "13.0", "too new for driver 470.82.01. Update the driver. To use"),
        ("580.65.06", None, "a build without CUDA, for driver 580.65.06. Install: pip install torch==2"),
        ("580.65.06", "13.0", "CUDA_VISIBLE_DEVICES is not set"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_refused(
    nvml: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    driver: str,
    cuda: str | None,
    said: str,
) -> None:
    nvml.nvmlSystemGetDriverVersion = lambda: driver
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(UsageError) as refused:
        plan_compute(device)
    assert "NVIDIA L4" in str(refused.value)
    assert said in str(refused.value)
    assert "model.device=cpu" in str(refused.value)


def test_the_cpu_can_be_chosen_on_purpose(nvml: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_compute("cpu").device == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert plan_compute("auto").device == "cpu"


def test_without_a_gpu_auto_is_the_cpu(nvml: SimpleNamespace) -> None:
    def fail() -> None:
        raise NvmlError("NVML Shared Library Not Found")

    nvml.nvmlInit = fail
    assert plan_compute("auto").device == "cpu"
    assert not unusable_gpu()


@pytest.mark.parametrize(
    ("driver", "build"), [("595.10", "cu130"), ("580.65", "cu130"), ("570.26", "cu129"), ("525.60", "cu126")]
)
def test_the_build_that_fits_a_driver_runs_on_it(driver: str, build: str) -> None:
    assert fitting_build(driver) == build
    assert fits(driver, cuda_of(build))


def test_no_build_fits_a_driver_of_cuda_11() -> None:
    assert fitting_build("470.82.01") is None
    assert not fits("550.54.15", "13.0")
