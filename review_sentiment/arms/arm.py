"""What every arm can do: answer reviews, be saved and come back the same.

An arm is a model that is trained on the same reviews as the language model. Each kind is a module with a
class for it, which can `fit` and `load`; `catalogue.py` knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from review_sentiment.scoring.scorer import AnsweringModel


class Arm(AnsweringModel, Protocol):
    """A trained model that answers reviews."""

    def save(self, directory: Path) -> None:
        """Write the arm to an empty directory."""
        ...


def documents(titles: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return what a model reads that takes one text per review."""
    return [f"{title}\n{text}" if title else text for title, text in zip(titles, texts, strict=True)]
