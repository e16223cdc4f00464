"""Reads stack files, `stacks/NAME.yaml`, with values from the environment.

Each block is a component, named by its kind, except three: `environment` (variables for
every step), `secrets` (the same, stored as a ZenML secret, which components refer to as
`{{SECRET.NAME}}`) and `image` (how the image of remote steps is built). `${NAME}` is an
environment variable of this machine, which must be set; `${NAME:-default}` has a default.
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
"""Prefix of our stacks, components and secrets, so that no others are ever changed."""
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
    """The contents of a stack file, with variables substituted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    components: dict[str, Component]
    environment: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)
    image: Image | None = None

    @property
    def zenml_name(self) -> str:
        """Return the name of the stack, and of its secret, in ZenML."""
        return f"{PREFIX}-{self.name}"

    @property
    def has_step_operator(self) -> bool:
        """Return whether some steps run outside the orchestrator."""
        return "step_operator" in self.components


def stack_path(name: str) -> Path:
    """Return the path of a stack file.

    Raises:
        UsageError: it does not exist; the message suggests the nearest name.
    """
    file = DIRECTORY / f"{name}.yaml"
    if not file.is_file():
        names = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))
        raise UsageError(
            f"--stack: '{name}' is unknown.{did_you_mean(name, names)} "
            f"Stacks: {', '.join(names)} (files in {DIRECTORY.name}/)."
        )
    return file


def read_stack(name: str) -> StackFile:
    """Read a stack file.

    Raises:
        UsageError: the file is missing or invalid, or variables that it needs are not set.
    """
    file = stack_path(name)
    content = read_yaml(file)
    missing = sorted(_missing(content))
    if missing:
        raise UsageError(
            f"The stack file {file.parent.name}/{file.name} needs these environment variables, "
            f"which are not set: {', '.join(missing)}.{_local_alternative(name)}"
        )
    secret = f"{{{{{PREFIX}-{name}."
    filled = _filled(content, lambda text: _VARIABLE.sub(_value, text).replace(_SECRET, secret))
    others = {key: filled.pop(key) for key in ("environment", "secrets", "image") if key in filled}
    unknown = [kind for kind in filled if kind not in KINDS]
    if unknown:
        raise UsageError(
            f"{file.parent.name}/{file.name}: '{unknown[0]}' is not a kind of component."
            f"{did_you_mean(unknown[0], KINDS)}"
        )
    # Empty variables are dropped: programs should see them as not set.
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
            f"The stack {name} runs steps on another machine, which cannot reach {tracking_uri}. Set "
            f"MLFLOW_TRACKING_URI to the address of an MLflow server.{_local_alternative(name)}"
        )
    return stack


def _missing(value: Any) -> set[str]:
    """Return the names of variables that have no default and are not set."""
    if isinstance(value, dict | list):
        return set().union(*map(_missing, value.values() if isinstance(value, dict) else value))
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


def _local_alternative(name: str) -> str:
    """Return a hint to the stack that needs no variables, if this machine has a GPU."""
    import shutil

    if name != "gpu-local" and name.startswith("gpu") and shutil.which("nvidia-smi"):
        return " This machine has a GPU: `--stack gpu-local` does not need them."
    return ""
