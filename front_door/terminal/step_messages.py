"""What ZenML's log says of a run's steps: which one, and how it stands."""

from __future__ import annotations

import re
from typing import Literal

StepStatus = Literal["cached", "running", "completed", "failed"]
_STEP_MESSAGE = re.compile(
    r"(?P<what>Using cached version of step|Step|Failed to run step) `(?P<step>[^`]+)`(?P<rest>.*)", re.DOTALL
)


def step_status(message: str) -> tuple[str, StepStatus] | None:
    """Return the name of the step that a log message of ZenML (0.98) is about and its status, or None."""
    found = _STEP_MESSAGE.match(message)
    if found is None:
        return None
    step = found["step"]
    if found["what"].startswith("Using cached"):
        return step, "cached"
    if found["what"].startswith("Failed"):
        return step, "failed"
    if "has started" in found["rest"]:
        return step, "running"
    return (step, "completed") if "has finished" in found["rest"] else None
