"""Languages are named if they are certain, also of short and shouted texts."""

import pytest

from review_sentiment.data.languages import UNKNOWN, language_of, warn_of_costly_languages


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


JAPANESE = "とても良い商品でした。また買います。"


def test_a_frequent_language_of_many_tokens_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    english = ["The fabric is soft and it fits me very well."] * 45
    warn_of_costly_languages([*english, *[JAPANESE] * 5], lambda text: len(text.encode()))
    assert ["10% of the texts are in 'ja'" in record.message for record in caplog.records] == [True]
    caplog.clear()
    warn_of_costly_languages([*english, JAPANESE, ""], lambda text: len(text.encode()))
    assert not caplog.records
