"""What `score` prints: who answered, and what was expected of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from front_door.commands.scored_file import ScoredFile
from review_sentiment.arms.combination import Combination
from review_sentiment.decision.cascade import NEVER
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.evaluation.combination_plan import ExpectedAccuracy
from review_sentiment.evaluation.comparison import PairedDifference
from review_sentiment.registry.student_choice import Combined
from tests.unit.test_many_labels import bulk_result
from tests.unit.test_materializers import REPORT

RULE = DecisionRule.raw(("negative", "positive"), (0.1, 0.9))
GAIN = PairedDifference(76, -0.0016, (-0.0265, 0.0277), 1, 2, 0.9)
EXPECTED = ExpectedAccuracy(76, 60, 0.841, 0.9091, 0.9107, 0.883, GAIN)


def scored(
    threshold: float | None, answered_by: dict[str, int], version: str = "3", guarantee: str = ""
) -> ScoredFile:
    combination = Combination(
        student_name="small", student_version="2", student_run="run", threshold=threshold, rule=RULE
    )
    result = replace(bulk_result(RULE.labels), answered_by=answered_by, model_version=version)
    combined = Combined("reviews/3", combination, EXPECTED, guarantee)
    return ScoredFile(result, REPORT, Path("page.html"), False, combined)


@pytest.mark.parametrize(
    ("threshold", "answered_by", "version", "lines"),
    [
        (
            0.8114,
            {"small/2": 6, "3": 3},
            "3",
            [
                "9 rows by version 3 and small/2",
                "answered: 3 rows (33.3%) by reviews/3, 6 rows (66.7%) by small/2",
                "small/2 answers with a confidence of 0.8114 or more, which 84.1% of the reviews have, and "
                "reviews/3 answers the others. On 76 validation reviews, at the natural shares: accuracy "
                "0.9091, with reviews/3 alone 0.9107 (difference -0.0016 [-0.0265, +0.0277]), with small/2 "
                "alone 0.8830.",
            ],
        ),
        (0.8, {"small/2": 9}, "3", ["answered: 0 rows (0.0%) by reviews/3, 9 rows (100.0%) by small/2"]),
        (
            NEVER,
            {"3": 9},
            "3",
            ["9 rows by version 3 (", "small/2 answers no review: any would lose too much"],
        ),
        (
            None,
            {"3 and small/2": 9},
            "3 and small/2",
            ["9 rows by version 3 and small/2 (", "reviews/3 and small/2 answer each review together. On 76"],
        ),
    ],
)
def test_the_result_says_who_answered(
    threshold: float | None, answered_by: dict[str, int], version: str, lines: list[str]
) -> None:
    text = scored(threshold, answered_by, version).as_text()
    assert [line for line in lines if line not in text] == []
    assert ("answered:" in text) == (threshold is not None)


def test_the_result_says_what_was_proved_for_the_teacher_alone() -> None:
    text = scored(0.8, {"3": 9}, guarantee="precision negative=0.9").as_text()
    assert "The rule was proved for reviews/3 alone (precision negative=0.9), not for both." in text


def test_the_json_has_the_student_the_threshold_and_the_expected_accuracy_but_not_the_rule() -> None:
    found = scored(0.8, {"3": 9}).as_json()
    assert found["answered_by"] == {"3": 9}
    expected = found["student"].pop("expected")
    assert (expected["accuracy"], expected["gain"]["interval"]) == (0.9091, (-0.0265, 0.0277))
    assert found["student"] == {
        "student_name": "small",
        "student_version": "2",
        "student_run": "run",
        "threshold": 0.8,
    }
    assert replace(scored(0.8, {"3": 9}), combined=None).as_json()["student"] is None
