"""What every arm can do: answer reviews, be saved and come back the same.

An arm is a model that is trained on the same reviews as the language model. Each kind is a module with a
class for it, which can `fit` and `load`; `catalogue.py` knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from review_sentiment.data.prompts import document
from review_sentiment.scoring.scorer import AnsweringModel

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.data.chats import ChatDataset


class Arm(AnsweringModel, Protocol):
    """A trained model that answers reviews."""

    def save(self, directory: Path) -> None:
        """Write the arm to an empty directory."""
        ...


def documents(titles: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return what a model reads that takes one text per review."""
    return [document(title, text) for title, text in zip(titles, texts, strict=True)]


@dataclass(frozen=True)
class LabelledDocuments:
    """Documents, and how likely each label should be: `targets` [n, c], in the order of the labels.

    A review's own label has a target of 1. A teacher gives the probabilities that it sees (G. Hinton et al.,
    "Distilling the Knowledge in a Neural Network", arXiv 1503.02531), which tell more than the likeliest one.
    """

    documents: list[str]
    targets: npt.NDArray[np.float64]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, chats: ChatDataset) -> LabelledDocuments:
        """Return the documents of chats with their own labels."""
        frame = chats.frame
        numbers = [chats.labels.index(label) for label in frame["label"]]
        found = documents(list(frame["title"]), list(frame["text"]))
        return cls(found, np.eye(len(chats.labels))[numbers], chats.labels)

    def __len__(self) -> int:
        return len(self.documents)

    def head(self, rows: int) -> LabelledDocuments:
        """Return the first rows."""
        return LabelledDocuments(self.documents[:rows], self.targets[:rows], self.labels)
