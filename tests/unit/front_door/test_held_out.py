"""How many held-out reviews a run will score, before it reads them."""

from __future__ import annotations

import pytest

from front_door.run.held_out import held_out
from review_sentiment.config import Settings
from review_sentiment.settings_files import load_settings

COUNTS = {"Tops": {"negative": 1_000, "positive": 7_000}, "Bottoms": {"negative": 500, "positive": 1_000}}


def settings_of(*overrides: str) -> Settings:
    shares = ("split.evaluation_share=0.2", "split.validation_share=0.1", "split.validation_per_category=100")
    return load_settings(None, [*shares, "data.categories=[Tops, Bottoms]", *overrides])


@pytest.mark.parametrize(
    ("overrides", "reviews"),
    [
        ((), 50 * (1 + 3) + 50 * (1 + 2) + 200 * (1 + 3) + 100 * (1 + 2)),
        (("split.majority_ratio=1",), 200 + 600),
        (("split.evaluation_per_category=40", "split.majority_ratio=1"), 200 + 80),
    ],
)
def test_a_set_has_as_many_reviews_as_its_label_counts_and_caps_allow(
    overrides: tuple[str, ...], reviews: int
) -> None:
    found = held_out(settings_of(*overrides), COUNTS)
    assert (found.reviews, found.added) == (reviews, 0)


def test_reviews_for_a_wanted_interval_are_counted() -> None:
    plain = held_out(settings_of(), COUNTS)
    found = held_out(settings_of("evaluation.natural_interval=0.03"), COUNTS)
    assert found.reviews == plain.reviews + found.added
    assert found.added == 200 * (7 - 3)  # all of them: only Tops has more than three times as many


def test_without_counts_the_maximum_is_said() -> None:
    assert held_out(settings_of("split.evaluation_per_category=100"), None).reviews == 2 * 2 * 50 * (1 + 3)
