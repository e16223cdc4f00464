"""A configuration of seconds, and one state that read-only tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from review_sentiment.models.base_model import ModelIdentity
from tests.front_door import ROOT, Project
from tests.tiny import tiny_settings


@pytest.fixture(scope="session")
def settings(tiny_model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a configuration of seconds: the tiny model on made reviews in files."""
    return tiny_settings(tmp_path_factory.mktemp("reviews"), tiny_model.name)


@pytest.fixture(scope="session")
def project(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return this checkout with state and an open door that the session's read-only tests share."""
    with Project(ROOT, tmp_path_factory.mktemp("state"), settings).kept_open() as project:
        yield project


@pytest.fixture(scope="session")
def first_run(project: Project) -> dict[str, Any]:
    """Return the result of the project's first run."""
    return project.result()


@pytest.fixture(autouse=True)
def users_choice(request: pytest.FixtureRequest) -> Iterator[None]:
    """Require the user's active stack and project to stay, whatever a test runs, kills or interrupts."""
    project = request.getfixturevalue("project") if "project" in request.fixturenames else None
    before = project and project.users_choice
    yield
    assert before is None or project.users_choice == before


@pytest.fixture
def copied_project(project: Project, first_run: dict[str, Any], tmp_path: Path) -> Project:
    """Return a copy of the code that shares the first run's state, so that its files can be edited."""
    return project.copied_to(tmp_path / "checkout")


@pytest.fixture
def beside(project: Project, first_run: dict[str, Any]) -> Project:
    """Return the first run's state with an experiment and a model of its own: data steps are cached."""
    return project.with_settings(
        tracking={"experiment": "beside"},
        registry={"model_name": "beside"},
        training={"validations": 0},
        evaluation={"skip_baseline": True, "sample_predictions": 0},
    )
