"""Which reviews can be scored, and why the others cannot."""

from __future__ import annotations

import pandas as pd
import pytest

from review_sentiment.scoring.scoreable import problem_of

VIDEO = "[[VIDEOID:21f2b1e6c0f4a]]"


@pytest.mark.parametrize(
    "text", ["fine", "5", "NA", "👍", "⭐⭐⭐", "!", "a < b", "x" * 2_000_000, f"{VIDEO} ok"]
)
def test_a_review_with_something_to_read_can_be_scored(text: str) -> None:
    assert problem_of(text) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((missing, "`text` is missing") for missing in (None, float("nan"), pd.NA, pd.NaT)),
        *((text, "`text` is empty") for text in ("", " \t\n\u3000", "\u200b\ufeff", "\0", "\u00ad")),
        *(
            (text, "empty after cleaning")
            for text in (
                "<br />",
                "<BR><br/>",
                VIDEO,
                f"{VIDEO}\n<p></p>",
                "&nbsp;",
                "&lt;br&gt;",
                "<img src='x'>",
            )
        ),
        (5, "must be a string, got int"),
        ([], "must be a string, got list"),
        ("half \ud83d", "`text` has half a surrogate pair"),
    ],
)
def test_the_reason_is_named(text: object, reason: str) -> None:
    assert reason in problem_of(text)


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        (None, ""),
        (float("nan"), ""),
        ("", ""),
        ("Good", ""),
        (7, "got int"),
        ("\ude00", "half a surrogate pair"),
    ],
)
def test_a_title_may_be_missing_but_not_broken(title: object, reason: str) -> None:
    problem = problem_of("fine", title)
    assert (reason in problem) if reason else not problem
