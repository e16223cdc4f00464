"""Stacks as files: `stacks/NAME.yaml`, one component a block, values from the environment.

A block's name is the kind of its component. Three blocks are no components:
`environment` (variables of every step), `secrets` (the same, kept as a ZenML secret,
which a component refers to as `{{SECRET.NAME}}`) and `image` (how that of remote steps
is built). `${NAME}` stands for a variable of this machine, which must be set;
`${NAME:-default}` need not be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from review_sentiment.errors import UsageError, did_you_mean
from review_sentiment.settings_files import read_yaml

DIRECTORY = Path(__file__).resolve().parents[2] / "stacks"
PREFIX = "review-sentiment"
"""Stacks, components and secrets of ours bear this name, so that no other is ever touched."""
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_SECRET = "{{SECRET."
KINDS = (
    "orchestrator",
    "artifact_store",
    "step_operator",
    "container_registry",
    "image_builder",
    "experiment_tracker",
)


class Component(BaseModel):
    """A component of a stack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flavor: str
    configuration: dict[str, Any] = Field(default_factory=dict)


class Image(BaseModel):
    """How the image of remote steps is built from docker/Dockerfile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_image: str
    network: str = "default"


class StackFile(BaseModel):
    """A stack as its file has it, variables filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    components: dict[str, Component]
    environment: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    image: Image | None = None

    @property
    def zenml_name(self) -> str:
        """Return the name that the stack and its secret have in ZenML."""
        return f"{PREFIX}-{self.name}"

    @property
    def has_step_operator(self) -> bool:
        """Return whether some steps run elsewhere than on the orchestrator."""
        return "step_operator" in self.components


def stack_path(name: str) -> Path:
    """Return the file of a stack.

    Raises:
        UsageError: there is none; the nearest right name is suggested.
    """
    file = DIRECTORY / f"{name}.yaml"
    if not file.is_file():
        names = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))
        raise UsageError(
            f"--stack: '{name}' is unknown.{did_you_mean(name, names)} "
            f"There are: {', '.join(names)} (files in {DIRECTORY.name}/)."
        )
    return file


def read_stack(name: str) -> StackFile:
    """Read a stack's file.

    Raises:
        UsageError: the file is missing or wrong, or variables that it needs are not set.
    """
    file = stack_path(name)
    content = read_yaml(file)
    missing = sorted(_missing(content))
    if missing:
        raise UsageError(
            f"The stack file {file.parent.name}/{file.name} needs these environment variables, "
            f"which are not set: {', '.join(missing)}.{_instead(name)}"
        )
    secret = f"{{{{{PREFIX}-{name}."
    filled = _filled(content, lambda text: _VARIABLE.sub(_value, text).replace(_SECRET, secret))
    others = {key: filled.pop(key) for key in ("environment", "secrets", "image") if key in filled}
    unknown = [kind for kind in filled if kind not in KINDS]
    if unknown:
        raise UsageError(
            f"{file.parent.name}/{file.name}: '{unknown[0]}' is no kind of component."
            f"{did_you_mean(unknown[0], KINDS)}"
        )
    # A value that is empty is not passed on: what its reader takes for missing is missing.
    for block in ("environment", "secrets"):
        others[block] = {key: value for key, value in others.get(block, {}).items() if value != ""}
    try:
        stack = StackFile(name=name, components=filled, **others)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "components")
        raise UsageError(f"{file.parent.name}/{file.name}: {place}: {first['msg']}.") from error
    tracker = stack.components.get("experiment_tracker")
    tracking_uri = str(tracker.configuration.get("tracking_uri")) if tracker else ""
    if stack.image and tracking_uri.startswith("sqlite:"):
        raise UsageError(
            f"Steps of the stack {name} run on another machine, which cannot reach {tracking_uri}. Set "
            f"MLFLOW_TRACKING_URI to an MLflow server.{_instead(name)}"
        )
    return stack


def _missing(value: Any) -> set[str]:
    """Return the variables without a default that are not set; comments are not looked at."""
    if isinstance(value, dict):
        return set().union(*map(_missing, value.values()))
    if isinstance(value, list):
        return set().union(*map(_missing, value))
    if not isinstance(value, str):
        return set()
    return {
        found["name"]
        for found in _VARIABLE.finditer(value)
        if found["default"] is None and not os.environ.get(found["name"])
    }


def _value(found: re.Match[str]) -> str:
    return os.environ.get(found["name"]) or found["default"] or ""


def _filled(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, fill) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, fill) for inner in value]
    return fill(value) if isinstance(value, str) else value


def _instead(name: str) -> str:
    """Name the stack that needs no variables, where this machine has what it is for."""
    import shutil

    if name != "gpu-local" and name.startswith("gpu") and shutil.which("nvidia-smi"):
        return " This machine has a GPU: `--stack gpu-local` needs none of them."
    return ""
