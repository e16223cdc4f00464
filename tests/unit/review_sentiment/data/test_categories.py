"""Labels, category names, and suggestions for wrong names."""

from __future__ import annotations

from typing import get_args

import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.categories import UnknownCategoriesError, validate_categories
from review_sentiment.data.labels import BINARY, LABEL_SCHEMES, LabelScheme
from review_sentiment.errors import did_you_mean, nearest

AVAILABLE = ("Bottoms", "Dresses", "Tops")


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
def test_whole_stars_have_a_label_and_three_are_neither(stars: float, label: str | None) -> None:
    assert BINARY.label(stars) == label


@pytest.mark.parametrize("scheme", LABEL_SCHEMES.values(), ids=LABEL_SCHEMES)
def test_every_label_of_a_scheme_is_one_that_the_model_answers(scheme: LabelScheme) -> None:
    assert set(scheme.of_stars.values()) == set(scheme.names)


def test_a_scheme_says_which_stars_are_what() -> None:
    assert BINARY.described() == "1-2 stars negative, 4-5 stars positive; 3 left out"
    assert LABEL_SCHEMES["neutral"].described() == "1-2 stars negative, 3 stars neutral, 4-5 stars positive"
    assert LABEL_SCHEMES["stars"].described().startswith("1 star 1, 2 stars 2")


def test_other_schemes_keep_three_stars() -> None:
    assert LABEL_SCHEMES["neutral"].label(3) == "neutral"
    assert [LABEL_SCHEMES["stars"].label(stars) for stars in range(1, 6)] == list("12345")
    assert set(LABEL_SCHEMES) == set(get_args(DataSettings.model_fields["labels"].annotation))


def test_right_categories_come_back_in_the_order_of_the_request() -> None:
    assert validate_categories(["Tops", "Bottoms"], AVAILABLE, "embedded") == ("Tops", "Bottoms")


def test_every_wrong_category_is_named_at_once_with_the_nearest_right_one() -> None:
    with pytest.raises(UnknownCategoriesError) as error:
        validate_categories(["Dreses", "Tops", "xqzw", "Tops"], AVAILABLE, "embedded")
    assert str(error.value) == (
        "data.categories: 'Dreses' is unknown (did you mean 'Dresses'?); 'xqzw' is unknown; "
        "'Tops' is named twice. The source 'embedded' has: Bottoms, Dresses, Tops."
    )


def test_no_category_at_all_is_an_error() -> None:
    with pytest.raises(UnknownCategoriesError, match="none is named"):
        validate_categories([], AVAILABLE, "embedded")


def test_an_empty_source_is_called_empty() -> None:
    with pytest.raises(UnknownCategoriesError, match=r"'Tops' is unknown.*has: no categories at all"):
        validate_categories(["Tops"], (), "reviews")


def test_a_wrong_category_is_a_usage_error_for_the_exit_code() -> None:
    assert UnknownCategoriesError.exit_code == 2


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("tops", "Tops"), ("dress", "Dresses"), ("Botoms", "Bottoms"), ("qqqq", None), ("", None)],
)
def test_the_nearest_name_is_suggested_and_nothing_far_off(name: str, suggestion: str | None) -> None:
    assert nearest(name, AVAILABLE) == suggestion


def test_a_suggestion_is_a_sentence_or_nothing() -> None:
    assert did_you_mean("Topps", AVAILABLE) == " Did you mean 'Tops'?"
    assert did_you_mean("qqqq", AVAILABLE) == ""
    assert did_you_mean("Tops", []) == ""
