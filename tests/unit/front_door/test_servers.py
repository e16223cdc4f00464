"""The options of the commands that serve something."""

from __future__ import annotations

import socket

import pytest

from front_door.main import main
from run_pipeline import ui

COMMANDS = ("serve", "mlflow-ui", ui.name)


@pytest.mark.parametrize("port", ["70000", "-1", "abc", "1.5"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_port_that_does_not_exist_is_refused(
    command: str, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--port", port]) == 2
    assert "'--port'" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_port_that_is_taken_is_refused_before_anything_is_loaded(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([command, "--port", str(port)]) == 2
    shown = capsys.readouterr().err
    assert f"--port: {port} cannot be used on 127.0.0.1: Address already in use." in shown
    assert len(shown.splitlines()) == 1
