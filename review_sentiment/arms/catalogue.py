"""All kinds of arms by their name, without loading what only some of them need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import DataError

if TYPE_CHECKING:
    from review_sentiment.arms.arm import Arm
    from review_sentiment.config import TrainedArm
    from review_sentiment.data.chats import ChatDataset

KIND_FILE = "kind.txt"


def fit_arm(name: TrainedArm, train: ChatDataset, seed: int) -> Arm:
    """Train an arm on the training reviews of the language model."""
    match name:
        case "tfidf":
            from review_sentiment.arms.tfidf import Tfidf

            return Tfidf.fit(train, seed)


def save_arm(name: TrainedArm, arm: Arm, directory: Path) -> None:
    """Write an arm and its kind to an empty directory."""
    arm.save(directory)
    (directory / KIND_FILE).write_text(name, encoding="utf-8")


def load_arm(directory: Path) -> Arm:
    """Read what `save_arm` wrote.

    Raises:
        DataError: the directory has no arm of a kind that is known.
    """
    file = directory / KIND_FILE
    match file.read_text(encoding="utf-8") if file.is_file() else "":
        case "tfidf":
            from review_sentiment.arms.tfidf import Tfidf

            return Tfidf.load(directory)
        case other:
            raise DataError(f"{directory} has no arm of a known kind: {KIND_FILE} is {other!r}.")
