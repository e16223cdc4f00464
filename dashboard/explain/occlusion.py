"""Which words influenced an answer: each is left out in turn, and the model scores the rest.

Occlusion (M. Zeiler, R. Fergus, arXiv 1311.2901) needs no gradient and works with any model. If the label's
probability drops without a word, the word was evidence for the label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_PARTS = 40
"""Parts of a review that are left out in turn; in a long review a part has several words."""
_WORD = re.compile(r"\S+\s*")

Ask = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Returns the label's probability for each title and text."""


@dataclass(frozen=True)
class Part:
    """Some words, and how much the label's probability drops without them."""

    text: str
    weight: float


def split_text(text: str, most: int = MAX_PARTS) -> list[str]:
    """Split a text into at most `most` parts of whole words, which joined are the text again."""
    words = _WORD.findall(text)
    size = max(1, -(-len(words) // most))
    parts = ["".join(words[start : start + size]) for start in range(0, len(words), size)]
    start = len(text) - len(text.lstrip())
    return [text[:start] + parts[0], *parts[1:]] if parts else []


def occlude(title: str, text: str, ask: Ask) -> list[Part]:
    """Return each part of the text with its weight."""
    parts = split_text(text)
    if not parts:
        return []
    without = ["".join(parts[:number] + parts[number + 1 :]) for number in range(len(parts))]
    whole, *others = ask([title] * (len(parts) + 1), [text, *without])
    return [Part(part, whole - other) for part, other in zip(parts, others, strict=True)]
