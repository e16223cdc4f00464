"""A stack of ours is active for a block only; the user's active stack and project stay."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from front_door.stack.active import active_stack, installed_packages
from front_door.stack.files import Component, read_stack
from operators.zenml_store import ACTIVE_PROJECT, ACTIVE_STACK, connect
from tests.front_door import ROOT


@pytest.fixture(autouse=True)
def _our_flavors_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """ZenML imports them from the place of the main module, and pytest-xdist's workers have none."""
    from zenml.utils import source_utils

    monkeypatch.setattr(source_utils, "_CUSTOM_SOURCE_ROOT", str(ROOT))


def saved() -> list[str]:
    """Return what the user's configuration says is active."""
    configuration = yaml.safe_load((Path(os.environ["ZENML_CONFIG_PATH"]) / "config.yaml").read_text())
    return [configuration["active_stack_id"], configuration["active_project_id"]]


@pytest.mark.parametrize("name", ["local", "gpu-local"])
def test_a_stack_is_active_for_a_block_and_the_users_configuration_stays(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zenml.client import Client
    from zenml.config.global_config import GlobalConfiguration

    connect()
    before = saved()
    for number in range(2):  # created, then changed
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{number}.db")
        with active_stack(read_stack(name)):
            assert Client().active_stack_model.name == f"review-sentiment-{name}"
            ours = os.environ[ACTIVE_STACK]
            assert saved() == before
        assert ACTIVE_STACK not in os.environ

    # As in the process of a step, which inherits the variables, or if the user exported them.
    monkeypatch.setenv(ACTIVE_STACK, ours)
    monkeypatch.setenv(ACTIVE_PROJECT, before[1])
    GlobalConfiguration()._zen_store = None
    connect()
    assert str(Client().active_stack_model.id) == ours
    with active_stack(read_stack(name)):
        pass
    assert os.environ[ACTIVE_STACK] == ours
    assert saved() == before


def test_a_stack_file_whose_component_has_another_flavor_gets_another_component(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from zenml.client import Client

    connect()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///any.db")
    file = read_stack("gpu-local")
    flavors = []
    for flavor in ("local_gpu", "local_gpu", "kubernetes_gpu"):
        components = file.components | {"step_operator": Component(flavor=flavor)}
        with active_stack(file.model_copy(update={"name": "changed", "components": components})):
            stack = Client().get_stack(os.environ[ACTIVE_STACK])
            flavors.append(stack.components["step_operator"][0].flavor_name)
    assert flavors == ["local_gpu", "local_gpu", "kubernetes_gpu"]


@pytest.mark.parametrize("name", ["local", "gpu-local"])
def test_a_local_stack_records_on_a_server_with_or_without_a_password(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from zenml.client import Client

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-the-user")
    before = mlflow.get_tracking_uri()
    try:
        with active_stack(read_stack(name)):
            Client().active_stack.experiment_tracker.configure_mlflow()
            assert mlflow.get_tracking_uri() == "http://127.0.0.1:9"
            assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "of-the-user"
            tracker = Client().get_stack(os.environ[ACTIVE_STACK]).components["experiment_tracker"][0]
            assert set(tracker.configuration) == {"tracking_uri"}
    finally:
        mlflow.set_tracking_uri(before)


def test_installed_packages_are_listed_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    found = installed_packages()
    assert found == sorted(set(found))
    for package in ("zenml", "scikit-learn", "huggingface-hub"):
        assert f"{package}=={metadata.version(package)}" in found
