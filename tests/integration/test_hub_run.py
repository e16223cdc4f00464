"""Reviews of the Hub through the front door, from a server on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.front_door import Project, steps_that_ran
from tests.tiny import write_category
from tests.web_server import DATA_SET, serving

pytestmark = pytest.mark.integration


def test_reviews_of_the_hub_run_through_and_then_need_no_network(beside: Project, tmp_path: Path) -> None:
    files = tmp_path / "files"
    for category in ("All_Beauty", "Software"):
        write_category(files, category, 90)
    project = beside.with_settings(
        data={"source": DATA_SET, "categories": ["Software"]}, training={"max_steps": 4, "validations": 0}
    )
    with (
        serving(files) as server,
        project.kept_open(HF_ENDPOINT=server.url, HF_HUB_OFFLINE="0") as online,
    ):
        wrong = online.run("--set", "data.categories=Sofware")
        assert wrong.returncode == 2
        assert "did you mean 'Software'?" in wrong.stderr
        alone = online.run("--only", "ingest_reviews_Software")
        assert alone.returncode == 1  # there is no earlier run
        finished = online.run("--json")
        assert finished.returncode == 0, finished.stderr
        assert "Software: 45 negative, 45 positive of 90 rows kept; dropped: nothing" in finished.stderr
    assert steps_that_ran(project.result()) == set()
