"""The machine: a GPU as nvidia-smi tells of it, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.pages.machine import machine_page
from dashboard.queries import machine

TWO_GPUS = "0, NVIDIA A100-SXM4-80GB, 81920, 1024, 37, 45\n1, NVIDIA L4, 23034, 5, [N/A], 40\n"


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of an nvidia-smi that is alone on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "nvidia-smi"


def write(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


def test_gpus_are_read_in_bytes_and_shares(smi: Path) -> None:
    write(smi, f"echo '{TWO_GPUS.strip()}'".replace("\n", "'; echo '"))
    gpus, look = machine.read_gpus()
    assert look.ok
    assert gpus[0] == machine.Gpu(0, "NVIDIA A100-SXM4-80GB", 81920 * 2**20, 2**30, 0.37, 45)
    assert gpus[1].utilisation is None


def test_a_tool_that_fails_is_quoted(smi: Path) -> None:
    write(smi, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    gpus, look = machine.read_gpus()
    assert not gpus
    assert "exit code 18: Failed to initialize NVML" in look.found
    assert look.advice


def test_a_tool_that_hangs_is_given_up(smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(smi, "while :; do :; done")
    monkeypatch.setattr(machine, "SMI_SECONDS", 0.2)
    assert "TimeoutExpired" in machine.read_gpus()[1].found


def test_without_a_gpu_all_that_was_looked_at_is_named(smi: Path) -> None:
    found = machine.read_machine()
    assert [look.name for look in found.looks] == ["nvidia-smi", "driver", "torch"]
    assert not machine.has_gpu(found)
    page = machine_page(found).text
    for word in ("nvidia-smi", "not found on the PATH", "driver", "torch", "model.device=cuda"):
        assert word in page


def test_torchs_build_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: Spec)
    (tmp_path / "version.py").write_text("__version__ = '2.9.0+cu126'\ncuda: Optional[str] = '12.6'\n")
    assert machine.look_at_torch() == machine.Look("torch", True, "2.9.0+cu126, built for CUDA 12.6")
    (tmp_path / "version.py").write_text("__version__ = '2.9.0+cpu'\ncuda: Optional[str] = None\n")
    assert not machine.look_at_torch().ok
