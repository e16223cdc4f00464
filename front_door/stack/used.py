"""The stack of a run: made or updated from its file, and used by this process only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from front_door.stack.files import Component, Image, StackFile

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.enums import StackComponentType

ROOT = Path(__file__).resolve().parents[2]
ACTIVE_STACK_VARIABLE = "ZENML_ACTIVE_STACK_ID"
OWN_FLAVORS = {
    "local_gpu": "operators.local_gpu.LocalGpuFlavor",
    "ssh_host": "operators.ssh_host.SshHostFlavor",
}
"""Step operators that ZenML does not ship, and where they are."""
CLUSTER_RETRIES = {"max_retries": 3, "delay": 15, "backoff": 2}
"""Of a step on a cluster, whose pods are killed: the pauses are 15, 30 and 60 s, and training goes on from
its checkpoint. Our own operators start a step again themselves, and only where it was killed."""


@dataclass(frozen=True)
class UsedStack:
    """The stack of this process."""

    name: str
    step_operator: str | None
    """Its flavour."""
    image: Image | None

    @property
    def gpu_options(self) -> dict[str, Any]:
        """Return how a step is configured that a model runs in: on the step operator, where there is one."""
        if self.step_operator is None:
            return {}
        retry = {} if self.step_operator in OWN_FLAVORS else {"retry": CLUSTER_RETRIES}
        return {"step_operator": True} | retry

    @property
    def pipeline_options(self) -> dict[str, Any]:
        """Return how a pipeline is configured on this stack: one image, built from docker/Dockerfile."""
        if self.image is None:
            return {}
        docker = {
            "dockerfile": str(ROOT / "docker" / "Dockerfile"),
            "build_context_root": str(ROOT),
            "parent_image_build_config": {
                "build_options": {
                    "buildargs": {"BASE_IMAGE": self.image.base_image},
                    "network_mode": self.image.network,
                },
                "dockerignore": str(ROOT / ".dockerignore"),
            },
            # All of it is in the Dockerfile: a second build on top of it would only repeat it.
            "install_stack_requirements": False,
            "disable_automatic_requirements_detection": True,
            # Code travels through the artifact store: an edit needs no build.
            "allow_including_files_in_images": False,
            "allow_download_from_code_repository": False,
            "allow_download_from_artifact_store": True,
        }
        return {"settings": {"docker": docker}}


def use_stack(file: StackFile) -> UsedStack:
    """Make the stack and choose it through the environment: the active stack stays as it is."""
    from zenml.client import Client
    from zenml.enums import StackComponentType

    client = Client()
    _activate_only({component.flavor for component in file.components.values()})
    if file.secrets:
        _ensure_secret(client, file.zenml_name, file.secrets)
    components = {
        StackComponentType(kind): _ensure_component(client, file, StackComponentType(kind), component)
        for kind, component in file.components.items()
    }
    secrets = [file.zenml_name] if file.secrets else []
    found = client.list_stacks(name=file.zenml_name)
    if not found.items:
        stack = client.create_stack(file.zenml_name, components, secrets=secrets)
    else:
        stack = found.items[0]
        present = {kind: [item.name for item in items] for kind, items in stack.components.items()}
        if present != {kind: [component] for kind, component in components.items()}:
            stack = client.update_stack(file.zenml_name, component_updates=components)
    if stack.environment != file.environment:
        # A variable that is None is removed.
        gone = dict.fromkeys(set(stack.environment) - set(file.environment))
        stack = client.update_stack(file.zenml_name, environment={**gone, **file.environment})
    os.environ[ACTIVE_STACK_VARIABLE] = str(stack.id)
    operator = file.components.get("step_operator")
    return UsedStack(file.name, operator.flavor if operator else None, file.image)


def _activate_only(flavors: set[str]) -> None:
    """Leave the integrations that the stack has no component of out of this process.

    ZenML 0.98 imports every integration whose packages are installed (torch, scikit-learn,
    evidently, ...) each time it compiles a pipeline, to register materializers that
    our artifacts do not use.
    """
    from zenml.integrations.registry import integration_registry

    for name in set(integration_registry.integrations) - flavors:
        del integration_registry.integrations[name]


def _ensure_secret(client: Client, name: str, values: dict[str, str]) -> None:
    present = client.list_secrets(name=name).items
    if not present:
        client.create_secret(name, values)
    elif client.get_secret(present[0].id).secret_values != values:
        client.update_secret(present[0].id, add_or_update_values=values)


def _ensure_component(client: Client, file: StackFile, kind: StackComponentType, component: Component) -> str:
    """Return the component's name; a local store or orchestrator without settings is ZenML's own."""
    if kind.value in ("orchestrator", "artifact_store") and component == Component(flavor="local"):
        return "default"
    if component.flavor in OWN_FLAVORS and not client.list_flavors(name=component.flavor, type=kind).items:
        client.create_flavor(OWN_FLAVORS[component.flavor], kind)
    name = f"{file.zenml_name}-{kind.value.replace('_', '-')}"
    found = client.list_stack_components(type=kind, name=name, hydrate=True)
    if not found.items:
        client.create_stack_component(name, component.flavor, kind, component.configuration)
    elif any(found.items[0].configuration.get(k) != v for k, v in component.configuration.items()):
        client.update_stack_component(name, kind, configuration=component.configuration)
    return name
