"""Perturbed reviews: what stays the same, and what must change."""

from __future__ import annotations

import re
from collections import Counter

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from review_sentiment.data.labels import BINARY
from review_sentiment.data.prompt_format import PLACEHOLDER
from review_sentiment.evaluation.perturbations import (
    OPPOSITES,
    OTHER_PARAPHRASES,
    SENTIMENT_PARAPHRASES,
    TYPO_FRACTION,
    misspelled,
    polar_sentences,
    with_typos,
)

KEYS = st.text(max_size=16)
WORDS = st.lists(st.text(st.characters(categories=["L"]), min_size=2, max_size=9), min_size=1, max_size=80)


@settings(max_examples=100)
@given(text=st.text(max_size=200), key=KEYS)
def test_typos_keep_words_space_and_letters_and_are_always_the_same(text: str, key: str) -> None:
    changed = with_typos(text, key)
    assert changed == with_typos(text, key)
    assert len(changed.split()) == len(text.split())
    assert re.findall(r"\s", changed) == re.findall(r"\s", text)
    for before, after in zip(text.split(), changed.split(), strict=True):
        assert Counter(before) == Counter(after)
        differing = [at for at in range(len(before)) if before[at] != after[at]]
        assert differing in ([], [*differing[:1], *(at + 1 for at in differing[:1])])


@settings(max_examples=100)
@given(words=WORDS, key=KEYS)
def test_a_twentieth_of_the_words_gets_a_typo_and_every_review_at_least_one(
    words: list[str], key: str
) -> None:
    changed = with_typos(" ".join(words), key).split(" ")
    able = sum(len(set(word)) > 1 for word in words)
    misspelled_words = sum(before != after for before, after in zip(words, changed, strict=True))
    assert misspelled_words == (max(1, round(TYPO_FRACTION * able)) if able else 0)


def test_other_reviews_with_the_same_text_have_other_typos() -> None:
    text = "This lovely dress fits wonderfully and arrived without any delay whatsoever"
    assert len({with_typos(text, str(key)) for key in range(20)}) > 10


def test_typos_of_a_review_depend_on_its_id_alone() -> None:
    reviews = pd.DataFrame(
        {
            "review_id": ["a", "b"],
            "title": ["Lovely thing", ""],
            "text": ["soft and warm " * 20, "awful colour"],
            "label": ["positive", "negative"],
        }
    )
    found = misspelled(reviews)
    assert found["label"].to_list() == ["positive", "negative"]
    assert (found["title"] + found["text"] != reviews["title"] + reviews["text"]).all()
    assert found["title"].str.contains("\n").sum() == found["text"].str.contains("\n").sum() == 0
    backwards = misspelled(reviews.iloc[::-1])
    pd.testing.assert_frame_equal(backwards.sort_index(), found)


def test_not_flips_the_label_of_every_polar_sentence_and_nothing_else() -> None:
    plain, negated = polar_sentences(negated=False), polar_sentences(negated=True)
    assert plain["review_id"].is_unique
    assert plain["review_id"].to_list() == negated["review_id"].to_list()
    assert plain["text"].to_list() == negated["text"].str.replace(" is not ", " is ").to_list()
    assert (plain["label"] != negated["label"]).all()
    assert plain["label"].to_list() == plain["category"].to_list()
    assert plain["label"].value_counts().to_dict() == dict.fromkeys(BINARY.names, 2 * len(OPPOSITES))
    said = plain.set_index("text")["label"]
    assert (said["It is good."], said["It is a waste of money."]) == ("positive", "negative")


def test_paraphrases_name_the_labels() -> None:
    assert all(PLACEHOLDER in words for words in (*SENTIMENT_PARAPHRASES, *OTHER_PARAPHRASES))
