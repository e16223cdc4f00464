"""A table of clean, labelled reviews, and what was dropped on the way to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

COLUMNS = {
    "review_id": "str",
    "category": "str",
    "product": "str",
    "user": "str",
    "stars": "int64",
    "label": "str",
    "title": "str",
    "text": "str",
}
"""Column names and pandas types. `user` is missing where the source names none."""


@dataclass(frozen=True)
class ReviewTable:
    """Reviews of one or several categories, one row each, with the columns of `COLUMNS`.

    `read` counts the rows that the source gave for them; `dropped` counts those
    that are no longer here, by reason.
    """

    frame: pd.DataFrame
    read: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    def count(self, label: str) -> int:
        """Return the number of rows with this label."""
        return int((self.frame["label"] == label).sum())

    def class_counts(self) -> dict[str, int]:
        """Return the number of rows by label, sorted by label."""
        counts = self.frame["label"].value_counts()
        return {str(label): int(counts[label]) for label in sorted(counts.index)}

    def category_counts(self) -> dict[str, dict[str, int]]:
        """Return the number of rows by category and label."""
        counts: dict[str, dict[str, int]] = {}
        for (category, label), rows in self.frame.groupby(["category", "label"]):
            counts.setdefault(str(category), {})[str(label)] = len(rows)
        return counts


def table_of(rows: Sequence[Mapping[str, object]], read: int, dropped: Mapping[str, int]) -> ReviewTable:
    """Build a table from row dictionaries, with the types of `COLUMNS` even when empty."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
    return ReviewTable(frame, read, dict(sorted(dropped.items())))


def dropped_in(tables: list[ReviewTable]) -> dict[str, int]:
    """Return what was dropped in several tables together, by reason."""
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table.dropped)
    return dict(sorted(total.items()))
