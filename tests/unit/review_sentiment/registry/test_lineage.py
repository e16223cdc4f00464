"""From a version to what it was made from, and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from review_sentiment.data.review_table import ReviewTable
from review_sentiment.registry.lineage import (
    IDENTIFIERS,
    OF_TWO_RUNS,
    TITLES,
    Lineage,
    PipelineRun,
    versions_from,
)
from review_sentiment.tracking.model_versions import ModelVersion

TRAINED = PipelineRun("train-1", "aaaaaaaa-1", "c0ffee00" * 5, "python run_pipeline.py", "local")
REGISTERED = PipelineRun("gate-2", "bbbbbbbb-2", "decade00" * 5, "python run_pipeline.py --set a=1", "local")
LINEAGE = Lineage(
    TRAINED, REGISTERED, "embedded", {"Tops": "p==1", "Trend": "p==1"}, "1234567890abcdef", "fedcba0987654321"
)


def version(number: int, aliases: tuple[str, ...] = (), lineage: Lineage = LINEAGE) -> ModelVersion:
    return ModelVersion(
        "m",
        str(number),
        aliases,
        f"models:/m/{number}",
        f"run{number}" * 8,
        datetime.now(UTC),
        lineage.tags(),
        "m-1",
    )


def numbers(start: str) -> list[str]:
    other = Lineage(
        PipelineRun("train-3", "cccccccc-3", "unknown", "unknown", "local"),
        REGISTERED, "embedded", {}, "1234500000000000", "fedcba0987654321",
    )  # fmt: skip
    known = [version(1), version(2, ("champion",)), version(3, (), other)]
    return [found.version for found in versions_from(known, start)]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2", ["2"]),
        ("champion", ["2"]),
        ("train-1", ["1", "2"]),
        ("gate-2", ["1", "2", "3"]),
        ("aaaaaaaa", ["1", "2"]),
        ("c0ffee0", ["1", "2"]),
        ("decade", ["1", "2", "3"]),
        ("123456", ["1", "2"]),
        ("fedcba0987654321", ["1", "2", "3"]),
        ("run3run3", ["3"]),
        ("train", []),  # shorter than the minimum prefix
        ("7", []),
        ("nothing-like-it", []),
    ],
)
def test_versions_are_found_from_every_end(start: str, expected: list[str]) -> None:
    assert numbers(start) == expected


def test_tags_have_everything_that_is_shown_and_looked_for() -> None:
    # From the adapter or the student, and from the evaluation.
    elsewhere = {"base_model", "base_revision", "teacher", "student", "evaluation_run"}
    assert set(TITLES) - set(LINEAGE.tags()) == elsewhere
    assert set(IDENTIFIERS) < set(TITLES)
    assert all(LINEAGE.tags().values())
    alone = replace(LINEAGE, registering=TRAINED).tags()
    assert set(LINEAGE.tags()) - set(alone) == set(OF_TWO_RUNS)
    assert (alone["zenml_run"], alone["commit"]) == (TRAINED.name, TRAINED.commit)


def test_the_revision_is_a_single_one_if_the_categories_agree() -> None:
    assert LINEAGE.revision() == "p==1"
    differing = Lineage(TRAINED, TRAINED, "dir", {"Tops": "1", "Trend": "2"}, "", "")
    assert differing.revision() == "Tops: 1; Trend: 2"
    assert Lineage(TRAINED, TRAINED, "dir", {}, "", "").revision() == "unknown"


def test_the_fingerprint_names_the_reviews_in_any_order() -> None:
    frame = pd.DataFrame({"review_id": list("abcdefgh"), "title": list("abcdefgh")})

    def fingerprint(reviews: pd.DataFrame) -> str:
        return ReviewTable(reviews).fingerprint()

    assert fingerprint(frame.iloc[::-1]) == fingerprint(frame)
    assert fingerprint(frame.assign(title="another")) == fingerprint(frame)
    assert fingerprint(frame.head(7)) != fingerprint(frame)
