"""From the setting `data.labels` and a value of the label column to the label of a review."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review_sentiment.config import MAX_LABEL, MAX_LABELS, DataSettings, StarScheme
from review_sentiment.data.labels import (
    BINARY,
    NEUTRAL,
    STAR_SCHEMES,
    STARS,
    places_on_scale,
    scheme_of,
    value_text,
)
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import load_settings


def labels(setting: str) -> Any:
    """Return the setting as the command line sets it."""
    return load_settings(None, [f"data.labels={setting}"]).data.labels


@pytest.mark.parametrize(
    ("stars", "label"),
    [
        (1, "negative"),
        (2, "negative"),
        (3, None),
        (4, "positive"),
        (5.0, "positive"),
        (4.5, None),
        (1.9, None),
    ],
)
def test_whole_stars_have_a_label_and_three_stars_have_none(stars: float, label: str | None) -> None:
    assert BINARY.label(stars) == label


def test_every_label_of_a_star_scheme_is_an_answer_of_the_model() -> None:
    assert set(STAR_SCHEMES) == set(get_args(StarScheme))
    for name, scheme in STAR_SCHEMES.items():
        assert set(scheme.of_values.values()) == set(scheme.names), name
    assert NEUTRAL.label(3) == "neutral"
    assert [STARS.label(stars) for stars in range(1, 6)] == list("12345")


def test_a_scheme_describes_the_values_of_each_label() -> None:
    assert BINARY.described() == "1-2 stars negative, 4-5 stars positive; 3 left out"
    assert NEUTRAL.described() == "1-2 stars negative, 3 stars neutral, 4-5 stars positive"
    assert STARS.described().startswith("1 star, 2 stars, ")
    assert scheme_of(labels("bug,praise")).described() == "bug, praise"
    assert scheme_of(labels("{0: bad, 1: bad, 2: drop, 3: good}")).described() == (
        "0 and 1 as bad, 3 as good; 2 left out"
    )


@pytest.mark.parametrize(
    "setting",
    [
        "bug report,praise,open question",
        "[bug report, praise, open question]",
        "bug report, praise,open question,",
    ],
)
def test_a_list_names_the_values_of_the_label_column(setting: str) -> None:
    scheme = scheme_of(labels(setting))
    assert scheme.names == ("bug report", "praise", "open question")
    assert scheme.label(" bug report\n") == "bug report"
    assert scheme.label("Praise") is None
    assert not scheme.ordinal
    assert not scheme.has_stars


def test_names_may_contain_what_yaml_takes_for_syntax() -> None:
    assert labels('bug #1,"yes, please",no: never') == ("bug #1", "yes, please", "no: never")


def test_a_mapping_names_and_drops_values() -> None:
    scheme = scheme_of(labels("{1: negative, 2: negative, 4: positive, 5: positive, 3: drop}"))
    assert scheme.names == BINARY.names
    assert [scheme.label(value) for value in (1.0, "2", 3, "4.0", 5)] == [
        "negative",
        "negative",
        None,
        "positive",
        "positive",
    ]
    assert scheme.reason(3) == "label '3' is left out"
    assert scheme.reason("6") == "label '6' is not in data.labels"
    assert scheme.reason(float("nan")) == scheme.reason(" ") == "no label"


def test_a_long_value_is_not_shown_because_it_is_a_text_and_no_name() -> None:
    assert "secret" not in scheme_of(("a", "b")).reason("secret " * MAX_LABEL)


def test_the_order_of_stars_and_of_numbers_means_something() -> None:
    ordinal = {name: scheme.ordinal for name, scheme in STAR_SCHEMES.items()}
    assert ordinal == {"binary": False, "neutral": True, "stars": True}
    assert scheme_of(labels("0,1,2.5,-3")).ordinal
    assert scheme_of(labels("{low: 1, high: 2}")).ordinal
    assert not scheme_of(labels("{1: low, 2: high}")).ordinal


def test_places_on_a_scale_are_in_the_order_of_the_numbers() -> None:
    assert places_on_scale(("10", "2", "-1")) == (2, 1, 0)
    assert places_on_scale(NEUTRAL.names) == (0, 1, 2)
    assert places_on_scale(("0", "1")) is None, "two places have one distance"
    assert places_on_scale(("bug", "praise", "2")) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(5, 5.0), ("5", 5.0), ("5.00", 5), (True, "TRUE"), (False, "false "), ("4.50", 4.5), (-0.0, "0")],
)
def test_equal_values_have_the_same_text(one: object, other: object) -> None:
    assert value_text(one) == value_text(other) != ""


@pytest.mark.parametrize(
    ("one", "other"), [("007", 7), (1, True), ("nan", None), ("1e3", 1000), ("5", "5 stars")]
)
def test_different_values_have_different_texts(one: object, other: object) -> None:
    assert value_text(one) != value_text(other)


@given(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans()))
def test_the_text_of_a_value_is_its_own_text(value: object) -> None:
    assert value_text(value_text(value)) == value_text(value)


def test_booleans_of_a_table_are_values_like_others() -> None:
    scheme = scheme_of(DataSettings(labels=(True, False)).labels)  # type: ignore[arg-type]
    assert scheme.names == ("true", "false")
    assert scheme.label(True) == "true"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("binry", "binary, neutral, stars, a list of 2 to 50 values"),
        ("[only one]", "a list of 2 to 50 values"),
        ("{1: a, 2: a, 3: drop}", "a list of 2 to 50 values"),
        (",".join(map(str, range(MAX_LABELS + 1))), "it has 51"),
        ("a,b,a", "a is listed twice"),
        ("[a, null]", "a name is empty"),
        ('{1: "", 2: b}', "a name is empty"),
        ("a," + "b" * (MAX_LABEL + 1), "longer than 100"),
        ("a,b\x07", "control characters"),
    ],
)
def test_other_settings_are_refused_with_what_to_write(setting: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as error:
        labels(setting)
    assert "data.labels: " in str(error.value)


def test_two_ways_to_write_a_value_are_refused() -> None:
    with pytest.raises(UsageError, match=r"'5' and '5.0' are the same value"):
        scheme_of(labels("{5: good, 5.0: better, 1: bad}"))


def test_a_list_and_a_mapping_come_back_from_json_in_their_order() -> None:
    for setting in ("b,a", "{2: good, 1: bad, 3: drop}"):
        data = DataSettings(labels=labels(setting))
        again = DataSettings.model_validate_json(data.model_dump_json())
        assert scheme_of(again.labels) == scheme_of(data.labels)
        assert hash(again.model_dump_json()) == hash(data.model_dump_json())
