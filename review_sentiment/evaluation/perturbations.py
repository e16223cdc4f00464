"""Perturbed reviews and prompts: typos, other words for the task, and negation.

They follow CheckList (M. T. Ribeiro et al., arXiv 2005.04118).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from review_sentiment.data.labels import BINARY
from review_sentiment.hashing import stable_hash

TYPO_FRACTION = 0.05
"""Fraction of a review's words that are misspelled."""
SENTIMENT_PARAPHRASES = (
    "Read the customer's review and say which it is: {labels}.",
    "What does the writer of this text think of the product? Answer with {labels}.",
)
"""Other wordings of the task; they name the labels in the same order."""
OTHER_PARAPHRASES = (
    "Read the customer's review and say which it is: {labels}.",
    "Which of these fits the text best? Answer with {labels}.",
)
"""The same for labels that are no sentiments."""
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
"""Something positive to say about any product, and its opposite, with little between the two."""
POLAR_TEMPLATES = ("It is {}.", "I bought this a month ago and it is {}.")
_WORD = re.compile(r"\S+")


def with_typos(text: str, key: str) -> str:
    """Return the text with two adjacent letters swapped in `TYPO_FRACTION` of its words, in one at least.

    White space and the number of words stay the same. The words are those with the smallest hash of key and
    position, so the same key always gives the same typos.
    """
    places = {match.start(): _swaps(match) for match in _WORD.finditer(text)}
    able = sorted(
        (start for start, swaps in places.items() if swaps),
        key=lambda start: stable_hash(key, "word", str(start)),
    )
    letters = list(text)
    for start in able[: max(1, round(TYPO_FRACTION * len(able)))]:
        swaps = places[start]
        at = swaps[stable_hash(key, "letter", str(start)) % len(swaps)]
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _swaps(word: re.Match[str]) -> list[int]:
    """Return the positions in the text at which the word has two different adjacent letters."""
    text = word.string
    return [
        at
        for at in range(word.start(), word.end() - 1)
        if text[at].isalpha() and text[at + 1].isalpha() and text[at] != text[at + 1]
    ]


def misspelled(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews with typos in title and text; a review's typos depend only on its `review_id`."""
    changed = [
        with_typos(f"{title}\n{text}", key).partition("\n")
        for key, title, text in zip(reviews["review_id"], reviews["title"], reviews["text"], strict=True)
    ]
    return reviews.assign(title=[title for title, _, _ in changed], text=[text for _, _, text in changed])


def polar_sentences(negated: bool) -> pd.DataFrame:
    """Return short reviews with the columns review_id, category, label, title, text and `BINARY` labels.

    Each uses a word of `OPPOSITES`; if `negated`, with "not" in front and under the same `review_id`. "Not
    good" is negative. CheckList counts "not bad" as positive or neutral, so with two classes it is positive.
    The `category` is the label of the sentence without "not".
    """
    return pd.DataFrame(
        list(_polar_rows(negated)), columns=["review_id", "category", "label", "title", "text"]
    )


def _polar_rows(negated: bool) -> Iterator[tuple[str, str, str, str, str]]:
    negative, positive = BINARY.names
    for words in OPPOSITES:
        for word, plain, opposite in zip(words, (positive, negative), (negative, positive), strict=True):
            phrase, label = (f"not {word}", opposite) if negated else (word, plain)
            for number, template in enumerate(POLAR_TEMPLATES):
                yield f"{word} {number}", plain, label, "", template.format(phrase)
