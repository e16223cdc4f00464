"""Which student answers with a version, from a real registry, and what is refused before any scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from front_door.main import main
from review_sentiment.decision.rule import Band
from review_sentiment.errors import UsageError
from review_sentiment.registry.student_choice import StudentChoice, combine, student_of
from review_sentiment.tracking import aliases, model_versions, new_version, run_log
from review_sentiment.tracking.mlflow_store import TEACHER_TAG
from review_sentiment.tracking.model_versions import ModelVersion
from tests.unit.review_sentiment.registry.test_redecision import larger_evaluation, predictions
from tests.unit.review_sentiment.registry.test_registration import NAME, registered
from tests.unit.test_materializers import RULE

STUDENTS = "students"


def choice(name: str = STUDENTS, version: str | None = None) -> StudentChoice:
    return StudentChoice("cascade", name, version, max_loss=0.005)


@pytest.fixture
def teacher(mlflow_uri: str, tmp_path: Path) -> ModelVersion:
    """Return a registered version."""
    run = run_log.open_run("e", "run", {}, {})
    registered(run, tmp_path / "adapter", tuned=larger_evaluation())
    return model_versions.get_version(NAME, "1")


def register_students(teacher: ModelVersion, name: str, teachers: Sequence[str]) -> None:
    """Register a version with the teacher's files for each: as a student of that version, or of none."""
    for of in teachers:
        tags = {TEACHER_TAG: of} if of else {}
        new_version.register_version(name, teacher.run_id, teacher.model_id, tags)


def test_the_newest_student_of_the_version_is_taken_or_the_champion_among_them(teacher: ModelVersion) -> None:
    register_students(teacher, STUDENTS, (f"{NAME}/1", f"{NAME}/1", f"{NAME}/11", "others/1", ""))
    assert student_of(teacher, choice()).version == "2"
    assert student_of(teacher, choice(version="1")).version == "1"
    aliases.make_champion(STUDENTS, "4")
    assert student_of(teacher, choice()).version == "2", "the champion is another version's student"
    aliases.make_champion(STUDENTS, "1")
    assert student_of(teacher, choice()).version == "1"
    assert student_of(teacher, choice(version="champion")).version == "1"

    for number, (students, asked, message) in enumerate(
        [
            ([], None, f"has no student of {NAME}/1. Train one: python run_pipeline.py distill 1"),
            (["others/1"], None, f"has no student of {NAME}/1. Train one: python run_pipeline.py distill 1"),
            (["others/1"], "1", f"/1 is a student of others/1, not of {NAME}/1. Train one"),
            ([""], "1", "/1 is not a student. Train one"),
            ([f"{NAME}/1", "others/1"], "2", f"not of {NAME}/1. --student takes one of: 1."),
            ([f"{NAME}/1"], "9", "has no version '9'"),
        ]
    ):
        register_students(teacher, f"students-{number}", students)
        with pytest.raises(UsageError) as refused:
            student_of(teacher, choice(f"students-{number}", asked))
        assert message in str(refused.value)


def test_a_cascade_is_planned_from_the_evidence_of_both(teacher: ModelVersion) -> None:
    register_students(teacher, STUDENTS, [f"{NAME}/1"])
    found = combine(teacher, RULE, choice())
    assert found.combination.student == f"{STUDENTS}/1"
    assert found.combination.student_run == teacher.run_id
    # It answers exactly like its teacher, so it may answer everything.
    assert found.expected.by_student == found.expected.reviews == len(predictions(100, 300, seed=2))
    assert found.as_json()["expected"]["gain"]["gain"] == 0
    words = found.in_words()
    assert f"{STUDENTS}/1 answers with a confidence of" in words
    assert f"with {NAME}/1 alone" in words
    assert "proved" not in words
    rule = replace(found.combination.rule, band=Band(0.6, 0.02, 0.95))
    proved = replace(found, guarantee=rule.described).in_words()
    assert f"The rule was proved for {NAME}/1 alone (accuracy, " in proved


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cascade", "--ensemble"], "cannot both be given"),
        (["--student", "1"], "only with --cascade or --ensemble"),
        (["--student-name", "students"], "only with --cascade or --ensemble"),
        (["--ensemble", "--max-loss", "0.1"], "--max-loss is an option of --cascade"),
        (["--max-loss", "0.1"], "--max-loss is an option of --cascade"),
        (["--cascade", "--max-loss", "1.5"], "1.5 is not in the range"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    source = tmp_path / "in.csv"
    pd.DataFrame({"text": ["fine"]}).to_csv(source, index=False)
    assert main(["score", str(source), "-o", str(tmp_path / "out.csv"), *options]) == 2
    assert message in capsys.readouterr().err
