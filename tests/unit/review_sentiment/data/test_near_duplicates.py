"""Texts that are nearly the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.data.near_duplicates import near_duplicates, similar_texts

TEXT = (
    "i bought this dress for a wedding and it fits like a glove the fabric is soft and does not wrinkle "
    "and the colour is exactly as in the picture so i ordered a second one"
)


@pytest.mark.parametrize(
    ("text", "similar"),
    [
        (TEXT, True),
        (TEXT.replace("wedding", "party"), True),
        ("update " + TEXT, True),
        (" ".join(reversed(TEXT.split())), False),
        ("i bought this dress for a party and it does not fit at all so i sent it back the next day", False),
        ("soft", False),
        ("", False),
    ],
)
def test_a_text_with_a_changed_word_is_nearly_the_same_and_another_text_is_not(
    text: str, similar: bool
) -> None:
    assert near_duplicates([text], ["something else altogether here", TEXT]).tolist() == [similar]


@hypothesis_settings(max_examples=30)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=12).map(" ".join), max_size=8)
)
def test_every_text_of_three_words_is_nearly_the_same_as_itself(texts: list[str]) -> None:
    assert near_duplicates(texts, texts).all()
    assert not near_duplicates(texts, []).any()


def test_texts_are_connected_by_chains_of_similar_texts() -> None:
    words = TEXT.split()
    chain = [" ".join([*words[:place], *map(str, range(place)), *words[place:]]) for place in range(4)]
    first, other, *rest = similar_texts([chain[0], "something else altogether", *chain[1:], "soft", "soft"])
    assert rest[:3] == [first] * 3
    assert len({first, other, *rest[3:]}) == 4, "short texts have no word sequences to compare"
    assert similar_texts([]).tolist() == []


def test_characters_are_compared_in_languages_without_spaces() -> None:
    text = "这件外套很合身颜色也很漂亮我会推荐给朋友们以后还会再来买一件别的颜色"
    other = "质量太差了穿了一次就破了一个洞客服也不回复非常失望不会再买了"
    assert near_duplicates([text.replace("我", "他"), other], [text]).tolist() == [True, False]
