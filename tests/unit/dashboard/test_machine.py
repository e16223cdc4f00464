"""The machine: GPUs as NVML reports them, and why none can be used."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from dashboard.queries import machine
from dashboard.runs.resources import resources_of
from review_sentiment.models.gpu_driver import Driver
from tests.unit.dashboard.pages import client

GIB = 2**30


class NvmlError(Exception):
    pass


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return an NVML with an A100, and an L4 that does not report its utilisation."""

    def rates(handle: int) -> SimpleNamespace:
        if handle:
            raise NvmlError("Not Supported")
        return SimpleNamespace(gpu=37)

    fake = SimpleNamespace(
        NVMLError=NvmlError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "580.65.06",
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: ("NVIDIA A100-SXM4-80GB", "NVIDIA L4")[handle],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=(80, 24)[handle] * GIB, used=GIB),
        nvmlDeviceGetUtilizationRates=rates,
        nvmlDeviceGetTemperature=lambda handle, _sensor: (45, 40)[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_gpus_are_read_in_bytes_and_fractions(nvml: SimpleNamespace) -> None:
    gpus, check = machine.read_gpus()
    assert check.ok
    assert gpus[0] == machine.Gpu(0, "NVIDIA A100-SXM4-80GB", 80 * GIB, GIB, 0.37, 45)
    assert gpus[1] == machine.Gpu(1, "NVIDIA L4", 24 * GIB, GIB, None, 40)


def test_a_gpu_that_reports_nothing_is_shown_without_figures(nvml: SimpleNamespace) -> None:
    """A MIG slice or a vGPU may refuse every reading."""

    def refuse(*_: object) -> None:
        raise NvmlError("Not Supported")

    for name in ("Name", "MemoryInfo", "UtilizationRates", "Temperature"):
        setattr(nvml, f"nvmlDeviceGet{name}", refuse)
    assert machine.read_gpus()[0][1] == machine.Gpu(1, "GPU 1", None, None, None, None)


def test_the_load_of_the_gpus_is_among_the_resources_of_a_run(nvml: SimpleNamespace) -> None:
    found = resources_of(psutil.Process(os.getpid()))
    assert found["GPU 0 (all programs)"] == "NVIDIA A100-SXM4-80GB: 37% busy, 1.1 of 86 GB"
    assert found["GPU 1 (all programs)"] == "NVIDIA L4: 1.1 of 26 GB"
    nvml.nvmlDeviceGetCount = lambda: 0
    assert set(resources_of(psutil.Process(os.getpid()))) == {"Memory", "Processor", "Processes"}


def test_an_error_of_the_driver_is_quoted(nvml: SimpleNamespace) -> None:
    def fail() -> None:
        raise NvmlError("Driver/library version mismatch")

    nvml.nvmlInit = fail
    gpus, check = machine.read_gpus()
    assert not gpus
    assert "Driver/library version mismatch" in check.found
    assert check.advice


def test_an_idle_gpu_that_uses_no_memory_is_reported_as_such(nvml: SimpleNamespace) -> None:
    nvml.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=0)
    nvml.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=GIB, used=0)
    gpu = machine.read_gpus()[0][0]
    assert (gpu.used, gpu.utilisation) == (0, 0)


def test_without_a_gpu_every_check_is_shown(
    nvml: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise NvmlError("NVML Shared Library Not Found")

    nvml.nvmlInit = fail
    monkeypatch.setattr(machine, "DRIVER_FILE", tmp_path / "version")
    found = machine.read_machine()
    assert [check.name for check in found.checks] == ["driver", "NVML", "torch"]
    assert not machine.has_gpu(found)
    page = client().get("/system").text
    for word in ("driver", "NVML", "NVML Shared Library Not Found", "torch", "model.device=cuda"):
        assert word in page


def test_torchs_build_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        origin = str(tmp_path / "__init__.py")

    def write(version: str, cuda: str | None) -> None:
        (tmp_path / "version.py").write_text(
            f"from typing import Optional\n__version__ = {version!r}\ncuda: Optional[str] = {cuda!r}\n"
        )

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: Spec)
    write("2.13.0+cu126", "12.6")
    driver = Driver("550.54.15", ("NVIDIA L4",))
    assert machine.check_torch(driver) == machine.Check("torch", True, "2.13.0+cu126, built for CUDA 12.6")
    write("2.13.0", "13.0")
    assert machine.check_torch(None).ok
    assert "torch==2.13.0+cu126" in machine.check_torch(driver).advice
    write("2.13.0+cpu", None)
    assert not machine.check_torch(driver).ok


def test_the_page_shows_what_gpus_report_and_what_they_do_not(
    nvml: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = machine.Check("torch", True, "built for CUDA")
    monkeypatch.setattr(machine, "check_torch", lambda _driver: built)
    page = client().get("/system").text
    for text in ("GPU 0: NVIDIA A100-SXM4-80GB", "37%", "45 °C", "not reported", "Measure cpu and cuda"):
        assert text in page
    assert "No usable GPU" not in page
