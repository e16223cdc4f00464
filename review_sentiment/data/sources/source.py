"""What a source of reviews is: categories, their revision, and their rows in chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from review_sentiment.data.records import BrokenRecord, ReviewRecord


@dataclass(frozen=True)
class Chunk:
    """Some rows of a category, and how many bytes of the source were read for them."""

    rows: list[ReviewRecord | BrokenRecord]
    size: int


@dataclass(frozen=True)
class Reading:
    """A category as it is read, in constant memory.

    Where `shuffled`, the chunks come in a random order that only depends on the
    seed, so that the first ones are a fair sample and reading can stop early.
    `size` are the bytes of the whole category, where known.
    """

    chunks: Iterator[Chunk]
    shuffled: bool
    size: int | None = None


class ReviewSource(Protocol):
    """Reviews by category, in the record schema of `records.py`."""

    name: str

    def categories(self) -> tuple[str, ...]:
        """Return the names of the categories that can be read, sorted."""

    def revision(self, category: str) -> str:
        """Return a string that changes when the category's rows may have changed."""

    def read(self, category: str, seed: int) -> Reading:
        """Begin to read the category."""
