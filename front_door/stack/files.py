"""Reads stack files, `stacks/NAME.yaml`, with values from the environment.

Each block is a component, named by its kind, except three: `environment` (variables for
every step), `secrets` (the same, stored as a ZenML secret, which components refer to as
`{{SECRET.NAME}}`) and `image` (how the image of remote steps is built). `${NAME}` is an
environment variable of this machine, which must be set; `${NAME:-default}` has a default.
`${NAME:yaml-default}` is a whole value in YAML, such as a mapping or a list; the key or the
list's item is left out if it is empty.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from review_sentiment.errors import UsageError, did_you_mean, first_line
from review_sentiment.settings_files import read_yaml

DIRECTORY = Path(__file__).resolve().parents[2] / "stacks"
PREFIX = "review-sentiment"
"""Prefix of our stacks, components and secrets, so that no others are ever changed."""
KUBERNETES = "kubernetes_caching"
"""The flavor of an orchestrator whose steps are pods."""
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_YAML_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z][A-Z0-9_]*):yaml(?:-(?P<default>.*))?\}")
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
    torch_build: str = Field(default="", pattern=r"^(cu\d{3,})?$")
    """A build of PyTorch's own index, such as cu126; the package registry's if empty."""


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

    @property
    def runs_on_cluster(self) -> bool:
        """Return whether the run itself is in a cluster: it goes on without the process that started it."""
        orchestrator = self.components.get("orchestrator")
        return orchestrator is not None and orchestrator.flavor == KUBERNETES

    @property
    def gpus(self) -> int | None:
        """Return the GPUs that the step operator gives to a step; None if it gives all there are."""
        operator = self.components.get("step_operator")
        if operator is None:
            return None
        if indices := operator.configuration.get("gpu_indices"):
            return len(indices.split(",") if isinstance(indices, str) else indices)
        pod = operator.configuration.get("pod_settings", {})
        limit = pod.get("resources", {}).get("limits", {}).get("nvidia.com/gpu")
        return None if limit is None else int(limit)


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
    shown = f"{file.parent.name}/{file.name}"
    content = _substituted(read_yaml(file), name, shown)
    others = {key: content.pop(key) for key in ("environment", "secrets", "image") if key in content}
    unknown = next((kind for kind in content if kind not in KINDS), None)
    if unknown:
        raise UsageError(f"{shown}: '{unknown}' is not a kind of component.{did_you_mean(unknown, KINDS)}")
    # Empty variables are dropped: programs should see them as not set.
    for block in ("environment", "secrets"):
        others[block] = {key: value for key, value in others.get(block, {}).items() if value != ""}
    try:
        stack = StackFile(name=name, components=content, **others)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"] if part != "components")
        raise UsageError(f"{shown}: {location}: {first['msg']}.") from error
    tracker = stack.components.get("experiment_tracker")
    tracking_uri = str(tracker.configuration.get("tracking_uri")) if tracker else ""
    if stack.image and tracking_uri.startswith("sqlite:"):
        raise UsageError(
            f"The stack {name} runs steps on another machine, which cannot reach {tracking_uri}. Set "
            f"MLFLOW_TRACKING_URI to the address of an MLflow server.{_local_alternative(name)}"
        )
    return stack


def _substituted(content: dict[str, Any], name: str, shown: str) -> dict[str, Any]:
    """Return the contents with variables replaced by their values, and SECRET by the secret's name.

    Raises:
        UsageError: variables without a default are not set; the message lists all of them.
    """
    missing = set()

    def value(found: re.Match[str]) -> str:
        text = os.environ.get(found["name"]) or found["default"]
        if text is None:
            missing.add(found["name"])
        return text or ""

    def substitute(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: new for k, old in node.items() if (new := substitute(old)) is not None}
        if isinstance(node, list):
            return [new for old in node if (new := substitute(old)) is not None]
        if isinstance(node, str) and (found := _YAML_VARIABLE.fullmatch(node)):
            return _parsed(found["name"], os.environ.get(found["name"]) or found["default"] or "")
        if isinstance(node, str):
            return _VARIABLE.sub(value, node).replace("{{SECRET.", f"{{{{{PREFIX}-{name}.")
        return node

    substituted = substitute(content)
    if missing:
        raise UsageError(
            f"The stack file {shown} needs these environment variables, which are not set: "
            f"{', '.join(sorted(missing))}.{_local_alternative(name)}"
        )
    return dict(substituted)


def _parsed(name: str, text: str) -> Any:
    """Return a variable's value in YAML; None if it is empty.

    Raises:
        UsageError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{name} must be YAML, such as {{key: value}}: {first_line(error)}.") from error


def _local_alternative(name: str) -> str:
    """Return a hint to the stack that needs no variables, if this machine has a GPU."""
    if name != "gpu-local" and name.startswith("gpu") and shutil.which("nvidia-smi"):
        return " This machine has a GPU: `--stack gpu-local` does not need them."
    return ""
