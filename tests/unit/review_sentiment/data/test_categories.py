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
def test_whole_stars_have_a_label_and_three_stars_have_none(stars: float, label: str | None) -> None:
    assert BINARY.label(stars) == label


@pytest.mark.parametrize("scheme", LABEL_SCHEMES.values(), ids=LABEL_SCHEMES)
def test_every_label_of_a_scheme_is_an_answer_of_the_model(scheme: LabelScheme) -> None:
    assert set(scheme.of_stars.values()) == set(scheme.names)


def test_a_scheme_describes_the_stars_of_each_label() -> None:
    assert BINARY.described() == "1-2 stars negative, 4-5 stars positive; 3 left out"
    assert LABEL_SCHEMES["neutral"].described() == "1-2 stars negative, 3 stars neutral, 4-5 stars positive"
    assert LABEL_SCHEMES["stars"].described().startswith("1 star 1, 2 stars 2")


def test_other_schemes_keep_three_stars() -> None:
    assert LABEL_SCHEMES["neutral"].label(3) == "neutral"
    assert [LABEL_SCHEMES["stars"].label(stars) for stars in range(1, 6)] == list("12345")
    assert set(LABEL_SCHEMES) == set(get_args(DataSettings.model_fields["labels"].annotation))


def test_valid_categories_are_returned_in_the_order_of_the_request() -> None:
    assert validate_categories(["Tops", "Bottoms"], AVAILABLE, "embedded") == ("Tops", "Bottoms")


def test_one_error_lists_every_wrong_category_with_the_closest_valid_one() -> None:
    with pytest.raises(UnknownCategoriesError) as error:
        validate_categories(["Dreses", "Tops", "xqzw", "Tops"], AVAILABLE, "embedded")
    assert str(error.value) == (
        "data.categories: 'Dreses' is unknown (did you mean 'Dresses'?); 'xqzw' is unknown; "
        "'Tops' is listed twice. The source 'embedded' has: Bottoms, Dresses, Tops."
    )


def test_an_empty_request_is_an_error() -> None:
    with pytest.raises(UnknownCategoriesError, match="none is listed"):
        validate_categories([], AVAILABLE, "embedded")


def test_the_error_says_that_a_source_is_empty() -> None:
    with pytest.raises(UnknownCategoriesError, match=r"'Tops' is unknown.*has: no categories"):
        validate_categories(["Tops"], (), "reviews")


def test_a_wrong_category_has_the_exit_code_of_a_usage_error() -> None:
    assert UnknownCategoriesError.exit_code == 2


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("tops", "Tops"), ("dress", "Dresses"), ("Botoms", "Bottoms"), ("qqqq", None), ("", None)],
)
def test_the_closest_name_is_suggested_if_it_is_close_enough(name: str, suggestion: str | None) -> None:
    assert nearest(name, AVAILABLE) == suggestion


def test_a_suggestion_is_a_sentence_or_empty() -> None:
    assert did_you_mean("Topps", AVAILABLE) == " Did you mean 'Tops'?"
    assert did_you_mean("qqqq", AVAILABLE) == ""
    assert did_you_mean("Tops", []) == ""
