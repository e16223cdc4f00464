"""Where reviews come from. Adding a source is one file here and one line in `open_source`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from review_sentiment.errors import UsageError
from review_sentiment.records import BrokenRecord, ReviewRecord

EMBEDDED = "embedded"


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


def open_source(name: str) -> ReviewSource:
    """Return the source that `data.source` names.

    Raises:
        UsageError: there is no such source.
        DataError: the package that carries the embedded reviews is missing.
    """
    from review_sentiment.sources.embedded import EmbeddedReviews
    from review_sentiment.sources.hub import HUB, HubDataset
    from review_sentiment.sources.local import LocalFiles
    from review_sentiment.sources.web import UCSD, WebDirectory

    if name == EMBEDDED:
        return EmbeddedReviews()
    if name == HUB or name.startswith("hf://"):
        return HubDataset(name)
    if name == UCSD or name.startswith(("http://", "https://")):
        return WebDirectory(name)
    if "://" in name:
        raise UsageError(
            f"data.source: '{name}' is not a source. Use '{EMBEDDED}', '{HUB}', '{UCSD}', "
            "hf://datasets/OWNER/NAME, an http(s) address, or a directory of .jsonl files."
        )
    return LocalFiles(name)
