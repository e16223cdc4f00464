"""Texts that are nearly the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from review_sentiment.data import near_duplicates as module
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
    assert near_duplicates([[text]], [["something else altogether here"], [TEXT]]).tolist() == [similar]


@hypothesis_settings(max_examples=30)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=12).map(" ".join), max_size=8)
)
def test_every_text_of_three_words_is_nearly_the_same_as_itself(texts: list[str]) -> None:
    assert near_duplicates([texts], [texts]).all()
    assert not near_duplicates([texts], []).any()


def test_texts_are_connected_by_chains_of_similar_texts() -> None:
    words = TEXT.split()
    chain = [" ".join([*words[:place], *map(str, range(place)), *words[place:]]) for place in range(4)]
    texts = [chain[0], "something else altogether", *chain[1:], "soft", "soft"]
    first, other, *rest = similar_texts([texts])
    assert rest[:3] == [first] * 3
    assert len({first, other, *rest[3:]}) == 4, "short texts have no word sequences to compare"
    assert similar_texts([]).tolist() == []


def test_characters_are_compared_in_languages_without_spaces() -> None:
    text = "这件外套很合身颜色也很漂亮我会推荐给朋友们以后还会再来买一件别的颜色"
    other = "质量太差了穿了一次就破了一个洞客服也不回复非常失望不会再买了"
    assert near_duplicates([[text.replace("我", "他"), other]], [[text]]).tolist() == [True, False]


def varied(seed: int, count: int) -> list[str]:
    """Return texts of 0 to 60 words; most differ from another by up to three."""
    draw = random.Random(seed)
    lengths = (0, 1, 2, 3, 4, 5, 8, 12, 30, 60)
    originals = [[f"w{draw.randrange(20)}" for _ in range(draw.choice(lengths))] for _ in range(count // 3)]
    texts = []
    for _ in range(count):
        words = list(draw.choice(originals))
        for place in draw.sample(range(len(words)), min(len(words), draw.randrange(4))):
            words[place] = f"x{draw.randrange(1_000)}"
        texts.append(" ".join(words))
    return texts


def compared(texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return which pairs are similar by the definition, comparing all with all."""

    def triples(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[place : place + 3]) for place in range(len(words) - 2)}

    first, second = ([triples(text) for text in some] for some in (texts, references))
    # Pairs on the border are left open: their cosine may be rounded to below it.
    cosine = [[len(a & b) / sqrt(len(a) * len(b)) if a and b else 0 for b in second] for a in first]
    return np.array(cosine)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_in_a_file_find_what_comparing_all_with_all_finds(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BLOCK_SEQUENCES", 300), ("ROWS_AT_ONCE", 17), ("PAIRS_AT_ONCE", 11)):
        monkeypatch.setattr(module, name, value)
    texts, references = varied(seed, 120), varied(seed, 160)[60:]
    cosine = compared(texts, references)
    found = near_duplicates([texts[:50], texts[50:]], [references])
    assert found[(cosine > 0.801).any(axis=1)].all()
    assert not found[(cosine < 0.799).all(axis=1)].any()
    assert found.any()
    assert not found.all()
    whole = similar_texts([texts[:70], texts[70:]])
    monkeypatch.undo()
    assert whole.tolist() == similar_texts([texts]).tolist()
    assert np.equal.outer(whole, whole)[compared(texts, texts) > 0.801].all()
