"""Two commands from a table of support tickets to a registered version that scores others."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.front_door import Project
from tests.tiny import TICKETS, ticket_rows

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("project with runs of its own")]


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_inspect_and_run_train_on_a_table_of_ones_own(project: Project, tmp_path: Path) -> None:
    table, config = tmp_path / "tickets.csv", tmp_path / "mine.yaml"
    write(table, ticket_rows(240))
    small = {key: value for key, value in project.settings.items() if key not in ("data", "split")}
    cheap = replace(project, settings=small)
    inspected = project.run("inspect", str(table), "--write", str(config), "--config", str(project.config))
    assert inspected.returncode == 0, inspected.stderr
    python, script, *options = shlex.split(inspected.stdout.splitlines()[-1])
    assert (python, script) == ("python", "run_pipeline.py")

    overrides = [
        word
        for section, values in cheap.settings.items()
        for key, value in values.items()
        for word in ("--set", f"{section}.{key}={value}")
    ]
    found = cheap.result(*options, *overrides)
    assert found["model"]["name"] == "tickets"
    assert found["steps"]["ingest_reviews_tickets"]["status"] == "completed"

    new, scored = tmp_path / "new.csv", tmp_path / "scored.csv"
    write(new, [{"Message": row["Message"]} for row in ticket_rows(9)])
    done = cheap.run("score", str(new), "-o", str(scored), "--config", str(config))
    assert done.returncode == 0, done.stderr
    table_scored = pd.read_csv(scored)
    assert set(table_scored["label"]) <= set(TICKETS)
    assert table_scored["Message"].to_list() == [row["Message"] for row in ticket_rows(9)]
    assert "texts from column 'Message', no titles" in done.stdout
    assert not any(row["Message"] in done.stderr + inspected.stderr for row in ticket_rows(9))
