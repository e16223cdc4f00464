"""A table of clean, labelled reviews, and the counts of dropped rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from review_sentiment.hashing import stable_hash

COLUMNS = {
    "review_id": "str",
    "category": "str",
    "product": "str",
    "user": "str",
    "stars": "int64",
    "verified_purchase": "boolean",
    "label": "str",
    "title": "str",
    "text": "str",
}
"""Column names and pandas types. `user` and `verified_purchase` are missing if the source has none."""


@dataclass(frozen=True)
class ReviewTable:
    """Reviews of one or more categories, one row each, with the columns of `COLUMNS`.

    `read` counts the rows before any was dropped, and `dropped` those that were, by reason. `stars` counts
    the readable rows of a source by rating.
    """

    frame: pd.DataFrame
    read: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    stars: Mapping[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    def fingerprint(self) -> str:
        """Return a hash of the reviews, independent of their order; an id is a hash of the content."""
        return f"{stable_hash(*sorted(self.frame['review_id'])):016x}"

    def class_counts(self) -> dict[str, int]:
        """Return the number of rows by label, sorted by label."""
        counts = self.frame["label"].value_counts()
        return {str(label): int(counts[label]) for label in sorted(counts.index)}


def table_of(
    rows: Sequence[Mapping[str, object]],
    read: int,
    dropped: Mapping[str, int],
    stars: Mapping[int, int] | None = None,
) -> ReviewTable:
    """Build a table from row dictionaries, with the types of `COLUMNS` even when empty."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
    return ReviewTable(frame, read, dict(sorted(dropped.items())), dict(sorted((stars or {}).items())))


@dataclass(frozen=True)
class Ingested:
    """Counts of the rows of one category; `stars` counts the readable ones by rating."""

    category: str
    read: int
    kept: int
    dropped: Mapping[str, int]
    stars: Mapping[int, int]

    def reasons(self) -> str:
        """Return the reasons for dropping rows with their counts, the most frequent first."""
        by_count = sorted(self.dropped.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{reason} ({count:,})" for reason, count in by_count if count) or "nothing"


def ingested(table: ReviewTable) -> Ingested:
    """Return the counts of the table of one category."""
    category = str(table.frame["category"].iloc[0])
    return Ingested(category, table.read, len(table), dict(table.dropped), dict(table.stars))
