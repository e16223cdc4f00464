"""The services that a team hosts: none is open but on loopback, none has a password in the file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).resolve().parents[2] / "docker"
TEXT = (DOCKER / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
EXAMPLE = (DOCKER / ".env.example").read_text()
LASTING = [name for name, service in SERVICES.items() if service["restart"] != "no"]
"""The others end when they have done their part."""
SECRET = re.compile(r"PASSWORD|SECRET|KEY")


@pytest.mark.parametrize("name", LASTING)
def test_a_service_is_watched_started_again_and_listens_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert all(port.startswith("${LISTEN:-127.0.0.1}:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_its_secrets_come_from_the_environment(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(variable) and variable != "MARIADB_RANDOM_ROOT_PASSWORD":
            assert value.startswith("${")


def test_the_registry_wants_a_sign_in() -> None:
    registry = SERVICES["registry"]
    assert registry["environment"]["REGISTRY_AUTH"] == "htpasswd"
    assert registry["depends_on"] == {"registry-users": {"condition": "service_completed_successfully"}}
    assert (
        registry["environment"]["REGISTRY_AUTH_HTPASSWD_PATH"] in SERVICES["registry-users"]["entrypoint"][2]
    )


def test_what_must_be_filled_in_is_in_the_example_without_a_secret() -> None:
    needed = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT))
    given = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if line and not line.startswith("#"))
    assert needed == set(given)
    assert not any(given[name] for name in given if SECRET.search(name) and name != "S3_ACCESS_KEY")


def test_data_are_kept_in_volumes_that_are_declared() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == set(yaml.safe_load(TEXT)["volumes"])


def test_images_have_versions() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    assert all(re.search(r":v?\d", image) for image in images)


def test_the_image_installs_extras_that_exist() -> None:
    """The image reads pyproject.toml in a shell command, which nothing else checks before it is built."""
    named = set(re.findall(r"x\['(\w+)'\]", (DOCKER / "Dockerfile").read_text()))
    project = tomllib.loads((DOCKER.parent / "pyproject.toml").read_text())["project"]
    assert named == {"onnx", "remote"}
    assert named <= project["optional-dependencies"].keys()
