"""The cluster, and the pipeline on it: the tiny model and its reviews come from a gated Hub on loopback."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from review_sentiment.models.base_model import ModelIdentity
from tests.cluster.bed import ClusterBed, cluster_bed
from tests.cluster.programs import kept_directory
from tests.front_door import ROOT, Project
from tests.tiny import tiny_settings
from tests.web_server import MODEL

STACK = ("--stack", "gpu")
SECONDS_WITH_A_BUILD = 2400


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """Return a directory that every user may enter: Postgres is not root."""
    made = Path(tempfile.mkdtemp(prefix="review-sentiment-cluster-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def bed(directory: Path, tiny_model: ModelIdentity) -> Iterator[ClusterBed]:
    with cluster_bed(directory, kept_directory(), Path(tiny_model.name)) as running:
        yield running


@pytest.fixture(scope="session")
def project(bed: ClusterBed, tiny_model: ModelIdentity, directory: Path) -> Project:
    state = directory / "state"
    state.mkdir()
    settings = tiny_settings(Path(tiny_model.name), MODEL)
    settings["data"]["source"] = "hub"
    settings["training"]["fit"] = "ignore"
    return Project(ROOT, state, settings, bed.environment, SECONDS_WITH_A_BUILD)


@pytest.fixture(scope="session")
def first_run(project: Project) -> dict[str, Any]:
    return project.result(*STACK)
