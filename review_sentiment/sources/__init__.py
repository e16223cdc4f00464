"""Where reviews come from. Adding a source is one file here and one line in `open_source`."""

from collections.abc import Iterator
from typing import Protocol

from review_sentiment.errors import UsageError
from review_sentiment.records import BrokenRecord, ReviewRecord

EMBEDDED = "embedded"


class ReviewSource(Protocol):
    """Reviews by category, in the record schema of `records.py`."""

    name: str

    def categories(self) -> tuple[str, ...]:
        """Return the names of the categories that can be read, sorted."""

    def revision(self, category: str) -> str:
        """Return a string that changes when the category's rows may have changed."""

    def read(self, category: str) -> Iterator[ReviewRecord | BrokenRecord]:
        """Yield the category's rows one by one, in constant memory."""


def open_source(name: str) -> ReviewSource:
    """Return the source that `data.source` names: `embedded` or a directory.

    Raises:
        UsageError: the directory does not exist.
        DataError: the package that carries the embedded reviews is missing.
    """
    from review_sentiment.sources.embedded import EmbeddedReviews
    from review_sentiment.sources.local import LocalDirectory

    if name == EMBEDDED:
        return EmbeddedReviews()
    if "://" in name:
        raise UsageError(
            f"data.source: '{name}' is not a source. Use '{EMBEDDED}' or the path of a directory "
            "with one <Category>.jsonl or <Category>.jsonl.gz for each category."
        )
    return LocalDirectory(name)
