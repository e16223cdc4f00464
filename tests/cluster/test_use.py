"""A version that was registered on the cluster is used from this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.front_door import Project
from tests.tiny import review_rows

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]


def test_the_champion_scores_a_file(project: Project, first_run: dict[str, Any], tmp_path: Path) -> None:
    source, output = tmp_path / "reviews.csv", tmp_path / "scored.csv"
    pd.DataFrame(review_rows("Tops", 20, first_product=500))[["title", "text"]].to_csv(source, index=False)
    scored = project.run("score", str(source), "-o", str(output), "--config", str(project.config), "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["rows"] == 20
    assert set(pd.read_csv(output)["label"]) == {"negative", "positive"}


def test_a_version_is_promoted_by_its_number(project: Project, first_run: dict[str, Any]) -> None:
    version = str(first_run["model"]["version"])
    promoted = project.run("promote", version, "--json")
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["version"] == version
