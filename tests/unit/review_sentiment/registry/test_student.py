"""Students: their gate, and versions of them in a real registry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from front_door.main import main
from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.catalogue import fit_arm, save_arm
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.config import StudentSettings
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.data.labels import BINARY
from review_sentiment.evaluation.cost import Cost
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Champion, Evaluations, Verdict
from review_sentiment.registry.judged import Judged
from review_sentiment.registry.registration import register
from review_sentiment.registry.student_gate import judge_student
from review_sentiment.registry.student_model import StudentModel
from review_sentiment.tracking import evidence, model_versions, run_log
from tests.unit.review_sentiment.registry.test_model_card import LINEAGE
from tests.unit.review_sentiment.registry.test_redecision import LABELS, larger_evaluation
from tests.unit.test_materializers import RULE, reviews

NAME = "students"
LOSS, ALIKE, CALIBRATED = "accuracy lost to the teacher", "answers like the teacher's", "calibration error"


def wrong(teacher: Evaluation, rows: int) -> Evaluation:
    """Return a teacher's answers, of which this many right ones, of either label, are wrong."""
    table = teacher.stratified.copy()
    right = table.index[table["decided"] == table["gold"]][:: max(1, 300 // max(1, rows))][:rows]
    flipped = [LABELS[1 - LABELS.index(gold)] for gold in table.loc[right, "gold"]]
    table.loc[right, "decided"] = flipped
    return replace(teacher, stratified=table)


def checks(verdict: Verdict) -> dict[str, bool]:
    """Return which checks passed."""
    return {check.name: check.passed for check in verdict.checks}


def test_a_student_that_answers_like_its_teacher_passes() -> None:
    teacher = larger_evaluation()
    verdict = judge_student(teacher, teacher, Champion(), StudentSettings())
    assert verdict.passed
    assert checks(verdict) == {LOSS: True, ALIKE: True, CALIBRATED: True}
    assert verdict.checks[1].measured == "100.0%"


def test_the_gate_asks_for_the_upper_end_of_the_loss() -> None:
    """Six of 400 reviews are lost: the loss itself is within two points, but not its upper end."""
    teacher = larger_evaluation()
    student = wrong(teacher, 6)
    loose = judge_student(student, teacher, Champion(), StudentSettings(max_loss=0.05))
    strict = judge_student(student, teacher, Champion(), StudentSettings(max_loss=0.02))
    low, _ = loose.comparisons[0].overall.interval
    assert -loose.comparisons[0].overall.gain < 0.02 < -low < 0.05
    assert (checks(loose)[LOSS], checks(strict)[LOSS]) == (True, False)


def test_agreement_and_calibration_are_checked() -> None:
    teacher = larger_evaluation()
    student = wrong(teacher, 30)
    assert not checks(judge_student(student, teacher, Champion(), StudentSettings(max_loss=1)))[ALIKE]
    strict = StudentSettings(max_calibration_error=0.0)
    assert not checks(judge_student(teacher, teacher, Champion(), strict))[CALIBRATED]


def test_a_student_must_not_be_worse_than_the_champion_among_students() -> None:
    teacher = larger_evaluation()
    student = wrong(teacher, 30)
    lax = StudentSettings(max_loss=1, min_agreement=0)
    name = "accuracy over version 4, champion at the time"
    assert not checks(judge_student(student, teacher, Champion("4", teacher), lax))[name]
    assert checks(judge_student(teacher, teacher, Champion("4", student), lax))[name]
    same = judge_student(teacher, teacher, Champion("4", teacher), lax)
    assert checks(same)[name], "equally good is good enough"
    assert same.champion == "4"


def student(directory: Path, run_id: str) -> TrainedStudent:
    """Return a TF-IDF student that knows two words."""
    texts = ["torn and thin", "soft and warm"] * 8
    train = LabelledDocuments(texts, np.tile(np.eye(2), (8, 1)), LABELS)
    directory.mkdir()
    save_arm("tfidf", fit_arm("tfidf", train, train, seed=0), directory)
    return TrainedStudent(
        directory=directory,
        kind="tfidf",
        teacher="reviews/3",
        run_id=run_id,
        encoder=None,
        labelled=8,
        answered=8,
        seconds=1.5,
        settings={"student.kind": "tfidf"},
        export=None,
    )


def registered(directory: Path) -> Any:
    """Register a student."""
    run = run_log.open_run("e", "run", {}, {})
    model = StudentModel(
        student=student(directory, run),
        settings={"seed": "1"},
        lineage=LINEAGE,
        data_licence="CC0-1.0",
        scheme=BINARY,
        train=reviews(),
        evaluation=reviews(),
        rule=RULE,
        columns=ReviewColumns("Body", None),
    )
    cost = Cost(5_000.0, 1.0, 2.0, 0.1, 1.5)
    found = replace(larger_evaluation(), cost=cost)
    teacher = replace(larger_evaluation(), model="teacher", cost=replace(cost, reviews_per_second=12.0))
    verdict = judge_student(found, teacher, Champion(), StudentSettings())
    return register(NAME, "e", Judged(verdict, Evaluations(found, (teacher,)), model, {}))


def test_a_registered_student_is_a_version_like_any_other(
    mlflow_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = registered(tmp_path / "student")
    assert (one.name, one.version, one.alias) == (NAME, "1", "champion")
    assert one.card.startswith("This student (TF-IDF + logistic regression) answers like version reviews/3")
    assert "\n| --- | --- |" in one.card, "a table has a line of dashes below its headings"
    version = model_versions.get_version(NAME, "champion")
    assert version.tags["teacher"] == "reviews/3"
    assert version.compared_models == ("teacher",)
    assert [found.model for found in evidence.tradeoffs_of(version)] == ["tuned", "teacher"]

    answers = mlflow.pyfunc.load_model(one.uri).predict(pd.DataFrame({"text": ["torn, thin", "soft, warm"]}))
    assert answers["label"].to_list() == ["negative", "positive"]

    needed = Path(mlflow.artifacts.download_artifacts(f"{one.uri}/requirements.txt")).read_text()
    assert "scikit-learn==" in needed
    assert not any(package in needed for package in ("peft", "bitsandbytes", "accelerate"))

    assert main(["lineage", "reviews/3", "--name", NAME]) == 0
    assert "version 1" in capsys.readouterr().out
    assert main(["lineage", "1", "--name", NAME]) == 0
    lines = capsys.readouterr().out
    assert "reviews/3" in lines
    assert main(["decide", "1", "--name", NAME, "--precision", "negative=0.8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "2"
    assert main(["promote", "2", "--name", NAME]) == 0
    assert model_versions.get_version(NAME, "champion").version == "2"
    assert main(["models", "--name", NAME]) == 0
    assert main(["compare", "1", "2", "--name", NAME]) == 0
    capsys.readouterr()
    assert main(["export", "1", "--name", NAME, "-o", str(tmp_path / "out")]) == 2
    assert "not a language model" in capsys.readouterr().err
