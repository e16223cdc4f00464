"""The interface of a source of reviews: its categories, their revisions, and their rows in chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from review_sentiment.data.records import BrokenRecord, ReviewRecord

EMBEDDED, HUB, UCSD = "embedded", "hub", "ucsd"
"""Values of `data.source` that are not addresses."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a category, and the number of bytes of the source that were read for them."""

    rows: list[ReviewRecord | BrokenRecord]
    size: int


@dataclass(frozen=True)
class Reading:
    """A category that is being read, in constant memory.

    If `shuffled`, the chunks come in a random order that depends only on the seed: the first ones are a fair
    sample, and reading can stop early. `size` is that of the whole category in bytes, if known.
    """

    chunks: Iterator[Chunk]
    shuffled: bool
    size: int | None = None


class ReviewSource(Protocol):
    """Reviews by category, as records."""

    name: str
    needs_names: bool
    """Whether the categories to read must be named: there may be many large ones."""

    def categories(self) -> tuple[str, ...]:
        """Return the names of the categories that can be read, sorted."""

    def revision(self, category: str) -> str:
        """Return a string that changes if the category's rows may have changed."""

    def read(self, category: str, seed: int) -> Reading:
        """Start to read the category."""

    def require_columns(self, roles: Sequence[str] = ()) -> None:
        """Check that the columns exist, if that is known without the network, and those of `roles` too.

        Raises:
            UsageError: a table does not have one of them.
        """
