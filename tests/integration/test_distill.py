"""`distill`: from the champion to a small model that answers like it, through the front door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.front_door import Project
from tests.served_version import ask, serving

pytestmark = pytest.mark.integration

ALWAYS_PASSES = ("student.max_loss=1", "student.min_agreement=0", "student.max_calibration_error=1")


def distill(project: Project, *arguments: str, **student: str) -> Any:
    """Run `distill` for a TF-IDF student under a name."""
    chosen = {"kind": "tfidf", "reviews": "12"} | student
    given = [*ALWAYS_PASSES, *(f"student.{key}={value}" for key, value in chosen.items())]
    options = [word for setting in given for word in ("--set", setting)]
    return project.run("distill", *arguments, "--config", str(project.config), *options)


def test_a_student_is_trained_registered_and_scores(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    done = distill(project, "champion", "--json", model_name="small")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["name"], found["version"], found["alias"]) == ("small", "1", "champion")
    assert found["teacher"].endswith(f"version {first_run['model']['version']}")
    assert found["gate"] == "passed"
    assert found["metrics"]["student"]["reviews_per_second"] > 0
    assert "cached   split_reviews" in done.stderr, "the teacher's steps come from the cache"

    again = distill(project, "champion", model_name="small")
    assert again.returncode == 0, again.stderr
    assert "cached   ask_teacher" in again.stderr
    assert "small version 1 (champion)" in again.stdout

    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    pd.DataFrame({"text": ["soft and warm", "thin and itchy"]}).to_csv(source, index=False)
    config = ["--config", str(project.config)]
    scored = project.run("score", str(source), "-o", str(output), "--name", "small", *config)
    assert scored.returncode == 0, scored.stderr
    rows = pd.read_csv(output)
    assert len(rows) == 2
    with serving(project, "--name", "small") as address:
        answers = ask(address, rows[["text"]].to_dict("records"))
    assert [answer["label"] for answer in answers] == rows["label"].to_list()
    assert [answer["p_negative"] for answer in answers] == pytest.approx(rows["p_negative"].to_list())

    # Its teacher, the champion, answers what it is not sure of.
    score = ("score", str(source), "-o", str(output), *config, "--cascade", "--json")
    refused = project.run(*score, "--student-name", "none")
    assert refused.returncode == 2
    assert "Train one: python run_pipeline.py distill" in refused.stderr
    done = project.run(*score, "--student-name", "small", "--max-loss", "1")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    rows = pd.read_csv(output)["model_version"].astype(str)
    assert result["answered_by"] == rows.value_counts().to_dict()
    expected = result["student"]["expected"]
    assert expected["by_student"] == expected["reviews"], "any loss is allowed"


def test_a_file_of_reviews_trains_a_student_that_the_gate_refuses(
    project: Project, first_run: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "reviews.csv"
    pd.DataFrame({"Body": [f"A coat with {n} buttons" for n in range(9)]}).to_csv(file, index=False)
    options = ("--reviews", str(file), "--text-column", "Body")
    done = distill(project, "champion", *options, model_name="refused", max_calibration_error="0")
    assert done.returncode == 0, done.stderr
    assert "9 of 9 rows of reviews.csv are used" in done.stderr
    assert "refused version 1 (challenger)" in done.stdout
    assert "The gate was not passed: calibration error is" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "student", "message", "code"),
    [
        (["99"], {}, "has no version '99'", 2),
        (["champion", "--reviews", "nowhere.csv"], {}, "nowhere.csv", 2),
        (["champion", "--text-column", "Body"], {}, "--reviews FILE", 2),
        (["champion", "--set", "data.labels=stars"], {}, "Give the configuration of the version's run", 2),
        (["champion"], {"kind": "huge"}, "student.kind", 2),
        (["champion"], {"model_name": "review-sentiment"}, "set another student.model_name", 2),
        (["champion", "--set", "arms.encoder=/nowhere"], {"kind": "static"}, "arms.encoder", 1),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    project: Project,
    first_run: dict[str, Any],
    arguments: list[str],
    student: dict[str, str],
    message: str,
    code: int,
) -> None:
    refused = distill(project, *arguments, **({"model_name": "none"} | student))
    assert refused.returncode == code, refused.stderr
    [error] = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert message in error
    assert "running" not in refused.stderr


def test_other_reviews_than_the_teachers_are_refused(project: Project, first_run: dict[str, Any]) -> None:
    """A student that is evaluated on other reviews may have learned from them."""
    refused = distill(project, "champion", "--set", "seed=77", model_name="none")
    assert refused.returncode == 2
    assert "was evaluated on other reviews than these settings give" in refused.stderr
    assert "none" not in project.run("models", "--name", "none", "--json").stdout
