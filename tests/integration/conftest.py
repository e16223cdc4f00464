"""A configuration of seconds, and one state that read-only tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from review_sentiment.models import BaseModel
from tests.conftest import write_category
from tests.front_door import ROOT, Project


@pytest.fixture(scope="session")
def settings(tiny_model: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a configuration of seconds: the tiny model on made reviews in files."""
    data = tmp_path_factory.mktemp("reviews")
    for category in ("Tops", "Shoes"):
        write_category(data, category, 90)
    return {
        "data": {"source": str(data), "categories": ["Tops", "Shoes"]},
        "split": {"evaluation_share": 0.3, "validation_share": 0.2},
        "prompt": {"max_tokens": 160},
        "model": {"name": tiny_model.name, "device": "cpu", "precision": "fp32"},
        "lora": {"rank": 4, "alpha": 8},
        "training": {"learning_rate": 0.01, "batch_size": 4, "max_steps": 20},
        "evaluation": {"sample_predictions": 2},
        "gate": {"min_gain_over_classical": -1, "min_gain_over_baseline": -1, "max_category_loss": 1.0,
                 "max_unparsed_rate": 1.0, "max_calibration_error": 1.0, "significance": 1.0},
    }  # fmt: skip


@pytest.fixture(scope="session")
def project(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return this checkout with state and an open door that the session's read-only tests share."""
    with Project(ROOT, tmp_path_factory.mktemp("state"), settings).kept_open() as project:
        yield project


@pytest.fixture(scope="session")
def first_run(project: Project) -> dict[str, Any]:
    """Return the result of the project's first run."""
    return project.result()


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
