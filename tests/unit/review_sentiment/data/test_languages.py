"""Languages are named if they are certain, also of short and shouted texts."""

import pytest

from review_sentiment.data.languages import UNKNOWN, language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Fell apart after one wash, very disappointed"),
        ("en", "GREAT FIT AND TRUE TO SIZE, WOULD BUY AGAIN"),
        ("de", "Passt leider nicht, zu klein ausgefallen"),
        ("fr", "Livraison rapide,\nproduit conforme"),
        ("es", "Muy buena calidad, lo recomiendo"),
        ("ja", "とても良い商品でした"),
        ("ru", "Отличное качество, рекомендую"),
        (UNKNOWN, "Meh."),
        (UNKNOWN, "5/5"),
        (UNKNOWN, " \n "),
    ],
)
def test_the_language_of_a_text(language: str, text: str) -> None:
    assert language_of(text) == language


def test_a_long_text_is_judged_by_its_start() -> None:
    start = "The fabric is soft and the colour is exactly as in the pictures. " * 8
    assert language_of(start + "Die Jacke sitzt gut, nur die Ärmel sind zu kurz. " * 100) == "en"
