"""Registers a stack file as a ZenML stack, and makes it the active one of this process for a while."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from front_door.stack.files import Component, Image, StackFile
from operators.zenml_store import ACTIVE_STACK, connect

if TYPE_CHECKING:
    from zenml.client import Client
    from zenml.enums import StackComponentType

ROOT = Path(__file__).resolve().parents[2]
OWN_FLAVORS = {
    "kubernetes_caching": "operators.kubernetes_caching.KubernetesCachingFlavor",
    "kubernetes_gpu": "operators.kubernetes_gpu.KubernetesGpuFlavor",
    "local_gpu": "operators.local_gpu.LocalGpuFlavor",
    "mlflow_environment": "operators.mlflow_environment.MlflowEnvironmentFlavor",
    "ssh_host": "operators.ssh_host.SshHostFlavor",
}
"""Our own components of stacks, and the classes of their flavors."""
CLUSTER_RETRIES = {"max_retries": 3, "delay": 15, "backoff": 2}
"""For GPU steps on a cluster, whose pods may be killed: retries after 15, 30 and 60 s; training resumes from
its checkpoint. Our operators for other machines restart steps themselves, and only those that were killed."""


@dataclass(frozen=True)
class ActiveStack:
    """The stack that this process runs on; `step_operator` is its flavor."""

    name: str
    step_operator: str | None
    image: Image | None

    @property
    def gpu_options(self) -> dict[str, Any]:
        """Return the options of steps that run a model: on the step operator, if there is one."""
        if self.step_operator is None:
            return {}
        retry = {"retry": CLUSTER_RETRIES} if self.step_operator == "kubernetes_gpu" else {}
        return {"step_operator": True} | retry

    @property
    def pipeline_options(self) -> dict[str, Any]:
        """Return the options of a pipeline on this stack: one image, built from docker/Dockerfile."""
        if self.image is None:
            return {}
        docker = {
            "dockerfile": str(ROOT / "docker" / "Dockerfile"),
            "build_context_root": str(ROOT),
            "parent_image_build_config": {
                "build_options": {
                    "buildargs": {
                        "BASE_IMAGE": self.image.base_image,
                        "TORCH_BUILD": self.image.torch_build,
                    },
                    "network_mode": self.image.network,
                },
                "dockerignore": str(ROOT / ".dockerignore"),
            },
            # The Dockerfile installs everything: a second build on top of it would only repeat that.
            "install_stack_requirements": False,
            "disable_automatic_requirements_detection": True,
            # Steps download the code from the artifact store: a change of code needs no new image.
            "allow_including_files_in_images": False,
            "allow_download_from_code_repository": False,
            "allow_download_from_artifact_store": True,
        }
        return {"settings": {"docker": docker}}


@contextmanager
def active_stack(file: StackFile) -> Iterator[ActiveStack]:
    """Create or update the stack, and activate it for the block through the environment.

    The user's configuration stays as it is, even if this process is killed.

    Raises:
        KeyboardInterrupt: a run within the block was interrupted.
    """
    from zenml.exceptions import RunInterruptedException

    _drop_integrations_except({component.flavor for component in file.components.values()})
    _list_packages_by_their_directories()
    client = connect()
    before = os.environ.pop(ACTIVE_STACK, None)  # ZenML saves an update of the stack that is active
    operator = file.components.get("step_operator")
    try:
        os.environ[ACTIVE_STACK] = _registered(client, file)
        yield ActiveStack(file.name, operator.flavor if operator else None, file.image)
    except RunInterruptedException as error:  # how ZenML reports Ctrl-C in a step
        raise KeyboardInterrupt from error
    finally:
        os.environ.pop(ACTIVE_STACK, None)
        if before is not None:
            os.environ[ACTIVE_STACK] = before


def _registered(client: Client, file: StackFile) -> str:
    """Create or update the stack, and return its id."""
    from zenml.enums import StackComponentType

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
        removed = dict.fromkeys(set(stack.environment) - set(file.environment))  # None removes a variable
        stack = client.update_stack(file.zenml_name, environment={**removed, **file.environment})
    return str(stack.id)


def _drop_integrations_except(flavors: set[str]) -> None:
    """Disable the integrations that the stack does not use, in this process.

    Whenever it compiles a pipeline, ZenML 0.98 imports every integration whose packages are installed
    (torch, scikit-learn, evidently, ...), to register materializers that our artifacts do not use.
    """
    from zenml.integrations.registry import integration_registry

    for name in set(integration_registry.integrations) - flavors:
        del integration_registry.integrations[name]


def _list_packages_by_their_directories() -> None:
    """Let ZenML, which stores the installed packages with each run and step, find them in this process.

    It starts `pip freeze` (ZenML 0.98), each time for a second.
    """
    from zenml.environment import Environment

    Environment.get_python_packages = staticmethod(installed_packages)


def installed_packages() -> list[str]:
    """Return the installed packages as `name==version`, from the names of their .dist-info directories."""
    found = {directory.stem for entry in sys.path for directory in Path(entry).glob("*.dist-info")}
    names = (stem.rpartition("-") for stem in found)
    return sorted(f"{name.replace('_', '-')}=={version}" for name, _, version in names)


def _ensure_secret(client: Client, name: str, values: dict[str, str]) -> None:
    present = client.list_secrets(name=name).items
    if not present:
        client.create_secret(name, values)
    elif client.get_secret(present[0].id).secret_values != values:
        client.update_secret(present[0].id, add_or_update_values=values)


def _ensure_component(client: Client, file: StackFile, kind: StackComponentType, component: Component) -> str:
    """Create or update a component, and return its name; for a local one without settings, it is ZenML's."""
    if kind.value in ("orchestrator", "artifact_store") and component == Component(flavor="local"):
        return "default"
    if component.flavor in OWN_FLAVORS and not client.list_flavors(name=component.flavor, type=kind).items:
        client.create_flavor(OWN_FLAVORS[component.flavor], kind)
    # ZenML cannot change a component's flavor: with another one, it is another component.
    name = f"{file.zenml_name}-{component.flavor}"
    found = client.list_stack_components(type=kind, name=name, hydrate=True)
    if not found.items:
        client.create_stack_component(name, component.flavor, kind, component.configuration)
    elif any(found.items[0].configuration.get(k) != v for k, v in component.configuration.items()):
        client.update_stack_component(name, kind, configuration=component.configuration)
    return name
