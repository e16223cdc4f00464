"""Which words moved an answer: each is left out, and the label's probability is asked again.

Occlusion (M. Zeiler, R. Fergus, arXiv 1311.2901) needs no gradient and works for any model. A word
whose absence lowers the probability spoke for the label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_PARTS = 40
"""Parts of a review that are left out in turn: of a long one a part has several words."""
_WORD = re.compile(r"\S+\s*")

Ask = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
"""Returns the probability of the label in question for titles and texts."""


@dataclass(frozen=True)
class Part:
    """Some words, and what the label's probability loses without them (negative: what it gains)."""

    text: str
    weight: float


def split_text(text: str, most: int = MOST_PARTS) -> list[str]:
    """Cut a text into at most so many parts of whole words; joined they are the text."""
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
