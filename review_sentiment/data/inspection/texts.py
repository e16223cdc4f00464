"""What a sample says about its texts: copies, contradictions, encoding, lengths in tokens."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from review_sentiment.data.cleaning import clean_text, normalised
from review_sentiment.data.inspection.values import is_missing
from review_sentiment.data.near_duplicates import near_duplicates

NEAR_TEXTS, NEAR_REFERENCES = 500, 5_000
"""Texts that are compared, and those they are compared with: their products take 30 MB at most."""
LENGTH_TEXTS = 1_000
"""Texts that are tokenised: the fraction that is truncated is known to 3 points."""
_BROKEN = re.compile("\ufffd|[ÂÃÅÐÑâ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
"""The replacement character, and how UTF-8 looks if it is read as Windows-1252 (`Ã¼` for ü)."""

ChatTokens = Callable[[str, str], int]
"""Returns the tokens of the chat of a review, given by its title and text, without a limit."""


@dataclass(frozen=True)
class TextFacts:
    """Counts of texts in the sample; the fraction of near duplicates is among different texts.

    `equal` counts the texts beyond the first of each, `contradicting` the rows whose text is also in a row
    with another label. `broken` counts texts with signs of a wrong encoding.
    """

    empty: int
    equal: int
    near: float
    near_compared: tuple[int, int]
    contradicting: int
    broken: int


@dataclass(frozen=True)
class TokenLengths:
    """The lengths of `reviews` chats in tokens, prompt included, and the fraction beyond the limit."""

    model: str
    reviews: int
    median: int
    p95: int
    longest: int
    limit: int
    truncated: float


def text_facts(texts: Sequence[Any], labels: Sequence[Any] | None, rng: Random) -> TextFacts:
    """Return the counts for a column of texts and, if there is one, the column of labels."""
    # Hashes, because the texts would take their memory a second time.
    keys = [_key(text) for text in texts]
    known = Counter(key for key in keys if key is not None)
    near, compared = _near(texts, keys, rng)
    return TextFacts(
        empty=keys.count(None),
        equal=known.total() - len(known),
        near=near,
        near_compared=compared,
        contradicting=_contradicting(keys, labels) if labels is not None else 0,
        broken=sum(map(_is_broken, texts)),
    )


def _key(text: Any) -> int | None:
    """Return a number that is equal for texts that a reader would call the same; None for an empty text."""
    words = "" if is_missing(text) else normalised(str(text))
    return hash(words) if words else None


def _is_broken(text: Any) -> bool:
    return isinstance(text, str) and not text.isascii() and _BROKEN.search(text) is not None


def _near(texts: Sequence[Any], keys: Sequence[int | None], rng: Random) -> tuple[float, tuple[int, int]]:
    """Return the fraction of different texts nearly the same as another, and how many were compared."""
    first = list({key: index for index, key in enumerate(keys) if key is not None}.values())
    chosen = rng.sample(first, min(NEAR_TEXTS + NEAR_REFERENCES, len(first)))
    words = [normalised(str(texts[index])) for index in chosen]
    compared = min(NEAR_TEXTS, len(words) // 2)
    near = near_duplicates([words[:compared]], [words[compared:]])
    return float(near.sum()) / max(1, compared), (compared, len(words) - compared)


def token_lengths(
    titles: Sequence[Any], texts: Sequence[Any], chat_tokens: ChatTokens, limit: int, model: str
) -> TokenLengths:
    """Return the lengths of the first `LENGTH_TEXTS` reviews, which are in random order."""
    pairs = [
        ("" if is_missing(title) else clean_text(str(title)), clean_text(str(text)))
        for title, text in zip(titles, texts, strict=True)
        if not is_missing(text)
    ]
    lengths = sorted(chat_tokens(title, text) for title, text in pairs[:LENGTH_TEXTS])
    if not lengths:
        return TokenLengths(model, 0, 0, 0, 0, limit, 0.0)
    return TokenLengths(
        model=model,
        reviews=len(lengths),
        median=lengths[len(lengths) // 2],
        p95=lengths[int(0.95 * (len(lengths) - 1))],
        longest=lengths[-1],
        limit=limit,
        truncated=sum(length > limit for length in lengths) / len(lengths),
    )


def _contradicting(keys: Sequence[int | None], labels: Sequence[Any]) -> int:
    by_text: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for key, label in zip(keys, labels, strict=True):
        if key is not None and not is_missing(label):
            by_text[key][str(label).strip()] += 1
    return sum(counts.total() for counts in by_text.values() if len(counts) > 1)
