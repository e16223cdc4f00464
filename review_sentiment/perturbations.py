"""Changed reviews and prompts whose right answer is known: what a robust model answers alike.

After CheckList (M. T. Ribeiro et al., arXiv 2005.04118): typos and rewordings of the task are invariance
tests, the answer must stay what it was; negation is a directional expectation, the answer must turn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.hashing import stable_hash
from review_sentiment.labels import BINARY

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPO_SHARE = 0.05
"""Share of the words of a review that are misspelled."""
PARAPHRASES = (
    "Read the customer's review and say which it is: {labels}.",
    "What does the writer of this text think of the product? Answer with {labels}.",
)
"""Other words for `prompts.INSTRUCTION`, that name the labels in the same order."""
OPPOSITES = (
    ("good", "bad"),
    ("well made", "badly made"),
    ("comfortable", "uncomfortable"),
    ("useful", "useless"),
    ("reliable", "unreliable"),
    ("worth the money", "a waste of money"),
    ("easy to use", "hard to use"),
    ("pleasant", "unpleasant"),
    ("satisfying", "disappointing"),
    ("a good buy", "a bad buy"),
)
"""What is positive to say of any product, and its contrary: words with little between the two."""
POLAR_TEMPLATES = ("It is {}.", "I bought this a month ago and it is {}.")

_WORD = re.compile(r"\S+")


def with_typos(text: str, key: str) -> str:
    """Return the text with two neighbouring letters swapped in about a twentieth of its words.

    White space and the number of words stay. The words are those with the smallest hash of key and place:
    the same key gives the same typos everywhere. Any text with a word that can be misspelled gets one.
    """
    places = {match.start(): _swaps(match) for match in _WORD.finditer(text)}
    able = sorted(
        (start for start, swaps in places.items() if swaps),
        key=lambda start: stable_hash(key, "word", str(start)),
    )
    letters = list(text)
    for start in able[: max(1, round(TYPO_SHARE * len(able)))]:
        swaps = places[start]
        at = swaps[stable_hash(key, "letter", str(start)) % len(swaps)]
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _swaps(word: re.Match[str]) -> list[int]:
    """Return where in the text two different letters of the word stand side by side."""
    text = word.string
    return [
        at
        for at in range(word.start(), word.end() - 1)
        if text[at].isalpha() and text[at + 1].isalpha() and text[at] != text[at + 1]
    ]


def misspelled(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews with typos in title and text; a review's typos depend on its `review_id` alone."""
    changed = [
        with_typos(f"{title}\n{text}", key).partition("\n")
        for key, title, text in zip(reviews["review_id"], reviews["title"], reviews["text"], strict=True)
    ]
    return reviews.assign(title=[title for title, _, _ in changed], text=[text for _, _, text in changed])


def polar_sentences(negated: bool) -> pd.DataFrame:
    """Return short reviews in the columns review_id, category, label, title, text; `BINARY` labels.

    Each says one of `OPPOSITES` of a product, or with "not" its contrary, under the same `review_id`.
    "Not good" is negative. "Not bad" is in CheckList "positive or neutral", and of two classes that is
    positive. The `category` is the label of the sentence without "not".
    """
    return pd.DataFrame(
        list(_polar_rows(negated)), columns=["review_id", "category", "label", "title", "text"]
    )


def _polar_rows(negated: bool) -> Iterator[tuple[str, str, str, str, str]]:
    negative, positive = BINARY.names
    for words in OPPOSITES:
        for word, plain, contrary in zip(words, (positive, negative), (negative, positive), strict=True):
            said, label = (f"not {word}", contrary) if negated else (word, plain)
            for number, template in enumerate(POLAR_TEMPLATES):
                yield f"{word} {number}", plain, label, "", template.format(said)
