"""What every arm can do: answer reviews, be saved and come back the same.

An arm is a model that is trained on the same reviews as the language model. Each kind is a module with a
class for it, which can `fit` and `load`; `catalogue.py` knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from review_sentiment.scoring.scorer import AnsweringModel

if TYPE_CHECKING:
    from review_sentiment.data.chats import ChatDataset

MAX_CHARACTERS = 100_000
"""Of a title or text. Far more than any review has; a million would take seconds."""


class Arm(AnsweringModel, Protocol):
    """A trained model that answers reviews."""

    def save(self, directory: Path) -> None:
        """Write the arm to an empty directory."""
        ...


class DocumentArm:
    """An arm that reads a title and a text as one document."""

    @property
    def max_characters(self) -> int:
        """Return how many characters of a title or text are read."""
        return MAX_CHARACTERS


def documents(titles: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return what a model reads that takes one text per review."""
    return [f"{title}\n{text}" if title else text for title, text in zip(titles, texts, strict=True)]


def documents_of(chats: ChatDataset) -> list[str]:
    """Return what such a model reads of chats."""
    return documents(list(chats.frame["title"]), list(chats.frame["text"]))
