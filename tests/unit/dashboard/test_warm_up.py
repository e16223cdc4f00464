"""A problem while the dashboard warms up does not keep anybody from opening it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from review_sentiment.config import Settings


def test_a_model_that_cannot_be_read_is_logged_as_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dashboard.serving.warm_up import measure_speed

    measure_speed(Settings.model_validate({"model": {"name": str(tmp_path)}}))
    assert str(tmp_path) in caplog.text


def test_a_gpu_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard.serving.warm_up import measure_speed

    def measured(*_: object) -> float:
        raise AssertionError("it was measured")

    monkeypatch.setattr("front_door.run.estimate.matrix_speed", measured)
    with pytest.raises(AssertionError, match="measured"):
        measure_speed(Settings())
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    measure_speed(Settings())


def test_the_server_does_not_load_torch() -> None:
    """It would be half of the time until somebody can open the dashboard, and 190 MB."""
    load = "import sys; from dashboard.serving import server, warm_up; warm_up.load()"
    script = f"{load}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
