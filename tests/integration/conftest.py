"""The front door as a user has it: a process of its own, with its own state directories."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from review_sentiment.models import BaseModel
from tests.conftest import write_category

ROOT = Path(__file__).resolve().parents[2]
CODE = (
    "run_pipeline.py",
    "configs",
    "front_door",
    "materializers",
    "operators",
    "pipelines",
    "review_sentiment",
    "stacks",
    "steps",
)
TIMEOUT_SECONDS = 300


@dataclass
class Project:
    """A checkout, a configuration, and the state of its runs."""

    root: Path
    state: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "ZENML_CONFIG_PATH": str(self.state / "zenml"),
            "ZENML_LOCAL_STORES_PATH": str(self.state / "stores"),
            "XDG_CACHE_HOME": str(self.state / "cache"),
            "HF_HUB_OFFLINE": "1",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ZENML_", "MLFLOW_"))}
        return inherited | own

    def run(
        self, *arguments: str, limit_bytes: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the front door with the project's configuration; no file may grow over the limit."""
        config = self.state / "config.yaml"
        config.write_text(yaml.safe_dump(self.settings))
        options = [] if arguments and not arguments[0].startswith("-") else ["--config", str(config)]
        return self.call([*options, *arguments], limit_bytes, **variables)

    def call(
        self, arguments: Sequence[str], limit_bytes: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the front door with these arguments and no others."""

        def limit_files() -> None:
            if limit_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        return subprocess.run(
            [sys.executable, "run_pipeline.py", *arguments],
            cwd=self.root,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            preexec_fn=limit_files,
        )

    def result(self, *arguments: str) -> dict[str, Any]:
        """Run, insist on success, and return the JSON result."""
        finished = self.run(*arguments, "--json")
        assert finished.returncode == 0, finished.stderr
        found: dict[str, Any] = json.loads(finished.stdout)
        return found


def steps_that_ran(result: dict[str, Any]) -> set[str]:
    return {name for name, step in result["steps"].items() if step["status"] == "completed"}


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
                 "max_unparsed_rate": 1.0},
    }  # fmt: skip


@pytest.fixture(scope="session")
def project(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return this checkout with state that the session's read-only tests share."""
    return Project(ROOT, tmp_path_factory.mktemp("state"), settings)


@pytest.fixture(scope="session")
def first_run(project: Project) -> dict[str, Any]:
    """Return the result of the project's first run."""
    return project.result()


@pytest.fixture
def copied_project(project: Project, first_run: dict[str, Any], tmp_path: Path) -> Project:
    """Return a copy of the code that shares the first run's state, so that its files can be edited."""
    root = tmp_path / "checkout"
    for name in CODE:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, root / name) if source.is_dir() else (
            root.mkdir(exist_ok=True),
            copy(source, root / name),
        )
    return Project(root, project.state, project.settings)
