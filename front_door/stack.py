"""Stacks as files: make or update the one that is asked for, and use it for this process only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import UsageError
from review_sentiment.settings_files import read_yaml
from review_sentiment.suggestions import did_you_mean

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.enums import StackComponentType

DIRECTORY = Path(__file__).resolve().parent.parent / "stacks"
PREFIX = "review-sentiment"
"""Stacks and components of ours bear this name, so that no other is ever touched."""
ACTIVE_STACK_VARIABLE = "ZENML_ACTIVE_STACK_ID"
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def stack_file(name: str) -> Path:
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


def use_stack(name: str) -> None:
    """Make the stack and choose it through the environment: the active stack stays as it is.

    Raises:
        UsageError: the file is missing or wrong, or lacks variables.
    """
    from zenml.client import Client
    from zenml.enums import StackComponentType

    client = Client()
    specifications = _components(stack_file(name))
    _activate_only({spec["flavor"] for spec in specifications.values()})
    components = {
        StackComponentType(kind): _ensure_component(client, name, StackComponentType(kind), spec)
        for kind, spec in specifications.items()
    }
    stack_name = f"{PREFIX}-{name}"
    found = client.list_stacks(name=stack_name)
    if not found.items:
        stack = client.create_stack(stack_name, components)
    else:
        stack = found.items[0]
        present = {kind: [item.name for item in items] for kind, items in stack.components.items()}
        if present != {kind: [component] for kind, component in components.items()}:
            stack = client.update_stack(stack_name, component_updates=components)
    os.environ[ACTIVE_STACK_VARIABLE] = str(stack.id)


def _activate_only(flavors: set[str]) -> None:
    """Leave the integrations that the stack has no component of out of this process.

    ZenML 0.98 imports every integration whose packages are installed (torch, scikit-learn,
    evidently, ...) each time it compiles a pipeline, to register materializers that
    our artifacts do not use.
    """
    from zenml.integrations.registry import integration_registry

    for name in set(integration_registry.integrations) - flavors:
        del integration_registry.integrations[name]


def _ensure_component(client: Client, stack: str, kind: StackComponentType, spec: Mapping[str, Any]) -> str:
    """Return the component's name; a local store or orchestrator without settings is ZenML's own."""
    configuration = {key: str(value) for key, value in spec.get("configuration", {}).items()}
    if spec["flavor"] == "local" and not configuration:
        return "default"
    name = f"{PREFIX}-{stack}-{kind.value.replace('_', '-')}"
    found = client.list_stack_components(type=kind, name=name, hydrate=True)
    if not found.items:
        client.create_stack_component(name, spec["flavor"], kind, configuration)
    elif any(found.items[0].configuration.get(key) != value for key, value in configuration.items()):
        client.update_stack_component(name, kind, configuration=configuration)
    return name


def _components(file: Path) -> dict[str, dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    settings = "\n".join(line.split("#")[0] for line in text.splitlines())
    missing = sorted({name for name in _VARIABLE.findall(settings) if not os.environ.get(name)})
    if missing:
        raise UsageError(
            f"The stack file {file.parent.name}/{file.name} needs these environment variables, "
            f"which are not set: {', '.join(missing)}."
        )
    filled: dict[str, dict[str, Any]] = _filled(read_yaml(file))
    return filled


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: os.environ[found[1]], value)
    return value
