"""`score --engine ray` on this machine, with a registered version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.front_door import Project
from tests.integration.test_scoring_commands import reviews

pytest.importorskip("ray", reason="Ray is an extra: pip install '.[ray]'")
pytestmark = pytest.mark.ray


def test_ray_gives_each_file_the_output_of_the_local_engine(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    config = ["--config", str(project.config)]
    (tmp_path / "in").mkdir()
    frame = reviews(90)
    frame.loc[3, "text"] = ""
    for number in range(2):
        frame[number::2].to_csv(tmp_path / f"in/{number}.csv", index=False)
    command = ["score", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--engine", "ray", "--json"]
    scored = project.run(*command, *config)
    assert scored.returncode == 0, scored.stderr
    found = json.loads(scored.stdout)
    assert (found["rows"], found["failed"], found["total"]) == (89, 1, 90)
    assert "<html" in Path(found["drift_page"]).read_text().lower()
    alone = tmp_path / "alone.csv"
    assert project.run("score", str(tmp_path / "in/1.csv"), "-o", str(alone), *config).returncode == 0
    assert (tmp_path / "out/1.csv").read_bytes() == alone.read_bytes()
    lists = [Path(f"{path}.failed.jsonl").read_bytes() for path in (tmp_path / "out/1.csv", alone)]
    assert lists[0] == lists[1]
