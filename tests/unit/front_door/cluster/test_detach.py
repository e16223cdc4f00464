"""`--detach` is for runs that go on without their command."""

from __future__ import annotations

import pytest

from front_door.main import main


@pytest.mark.parametrize("stack", ["local", "gpu-local"])
def test_a_run_on_this_machine_cannot_be_detached(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stack", stack, "--detach"]) == 2
    error = capsys.readouterr().err
    assert f"the stack {stack} runs on this machine" in error
    assert "--stack gpu" in error


def test_a_command_does_not_take_detach(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--detach"]) == 2
    assert "does not take --detach" in capsys.readouterr().err
