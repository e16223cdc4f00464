"""Category names, and suggestions for wrong names."""

from __future__ import annotations

import pytest

from review_sentiment.data.categories import UnknownCategoriesError, validate_categories
from review_sentiment.errors import did_you_mean, nearest

AVAILABLE = ("Bottoms", "Dresses", "Tops")


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
