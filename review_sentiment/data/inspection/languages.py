"""Which languages a sample of texts is in, and what they cost in tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.data.cleaning import clean_text
from review_sentiment.data.inspection.values import is_missing
from review_sentiment.data.languages import language_of

if TYPE_CHECKING:
    from review_sentiment.data.inspection.texts import ChatTokens

LANGUAGE_TEXTS = 500
"""Texts whose language is detected: a fraction of 2 % is known to 1.2 points."""
ENGLISH = (
    "I ordered two of these for my daughter and she wears them almost every day. The fabric is soft and the "
    "colour is exactly as in the pictures. It runs a little small, so go up a size if you are between sizes. "
    "Shipping took a week longer than promised, but customer service answered at once and was very kind."
)
"""An English review, of which the tokens per character are compared."""


@dataclass(frozen=True)
class LanguageShare:
    """A language, its fraction of the texts, and its tokens per character as a multiple of English ones."""

    language: str
    share: float
    tokens: float


def language_shares(texts: Sequence[Any], chat_tokens: ChatTokens) -> tuple[LanguageShare, ...]:
    """Return the languages of the first `LANGUAGE_TEXTS` texts, the most frequent first."""
    by_language: defaultdict[str, list[str]] = defaultdict(list)
    cleaned = [clean_text(str(text)) for text in texts[:LANGUAGE_TEXTS] if not is_missing(text)]
    for text in filter(None, cleaned):
        by_language[language_of(text)].append(text)
    total = sum(map(len, by_language.values()))
    english = _tokens_per_character([ENGLISH], chat_tokens)
    shares = [
        LanguageShare(language, len(own) / total, _tokens_per_character(own, chat_tokens) / english)
        for language, own in by_language.items()
    ]
    return tuple(sorted(shares, key=lambda one: (-one.share, one.language)))


def _tokens_per_character(texts: Sequence[str], chat_tokens: ChatTokens) -> float:
    prompt = chat_tokens("", "")
    return sum(chat_tokens("", text) - prompt for text in texts) / sum(map(len, texts))
