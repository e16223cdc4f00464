"""A table of clean, labelled reviews, and the counts of dropped rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from review_sentiment.hashing import stable_hash

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLUMNS = {
    "review_id": "str",
    "category": "str",
    "group": "str",
    "user": "str",
    "source_label": "str",
    "language": "str",
    "time": "float64",
    "verified_purchase": "boolean",
    "label": "str",
    "title": "str",
    "text": "str",
    "weight": "float64",
    "balanced": "bool",
}
"""Column names and pandas types. `group`, `user` and `verified_purchase` are missing if the source has none.

`review_id` is a 64-bit hash of the content, as 16 hexadecimal digits.

`group` is the product, customer or thread, `source_label` the value that the source has for the label, and
`language` a code of ISO 639, or `unknown` for a text that is too short to tell. `time` is in seconds since
1970, and missing unless the splits are by time.

`weight` is the number of the source's reviews that a review of a held-out set stands for, elsewhere 1.
`balanced` marks the reviews of a held-out set that have each label equally often, elsewhere all.
"""
DEFAULTS = {"weight": 1.0, "balanced": True}


@dataclass(frozen=True)
class CategoryCounts:
    """The rows of a category: read, kept, and dropped by reason; these add up.

    `source_labels` counts the readable rows of a source by the value of their label, `labels` its usable
    reviews by label before any cap. `fraction` of the source was read: less than 1 if reading stopped once
    there were enough reviews.
    """

    category: str
    read: int
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    source_labels: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    fraction: float = 1.0

    def in_source(self, label: str) -> float:
        """Return the number of the source's reviews with the label, estimated if it was read in part."""
        return self.labels.get(label, 0) / self.fraction

    def reasons(self) -> str:
        """Return the reasons for dropping rows with their counts, the most frequent first."""
        by_count = sorted(self.dropped.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{reason} ({count:,})" for reason, count in by_count if count) or "nothing"


class Reviews(ABC):
    """Reviews of one or more categories, one row each, with the columns of `COLUMNS`.

    `counts` has an entry for each category that rows were read of, also if all of them were dropped.
    """

    counts: tuple[CategoryCounts, ...]

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield these columns of all rows, some rows at a time."""

    @abstractmethod
    def rows(self, numbers: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Return all columns of the rows with these numbers, which ascend."""


@dataclass(frozen=True)
class ReviewTable(Reviews):
    """Reviews in memory."""

    frame: pd.DataFrame
    counts: tuple[CategoryCounts, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def batches(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield the columns."""
        yield self.frame[list(columns)]

    def rows(self, numbers: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Return the rows."""
        return self.frame.iloc[numbers]

    @property
    def read(self) -> int:
        """Return the number of rows before any was dropped."""
        return sum(one.read for one in self.counts)

    @property
    def dropped(self) -> dict[str, int]:
        """Return the number of dropped rows by reason."""
        return _summed(one.dropped for one in self.counts)

    def fingerprint(self) -> str:
        """Return a hash of the reviews, independent of their order; an id is a hash of the content."""
        return f"{stable_hash(*sorted(self.frame['review_id'])):016x}"

    def class_counts(self) -> dict[str, int]:
        """Return the number of rows by label, sorted by label."""
        counts = self.frame["label"].value_counts()
        return {str(label): int(counts[label]) for label in sorted(counts.index)}


def table_of(
    category: str,
    rows: Sequence[Mapping[str, object]],
    dropped: Mapping[str, int] | None = None,
    source_labels: Mapping[str, int] | None = None,
    labels: Mapping[str, int] | None = None,
    fraction: float = 1.0,
) -> ReviewTable:
    """Build the table of a category from row dictionaries, with the types of `COLUMNS` even when empty.

    Without `labels`, the source is taken to have the labels of the rows.
    """
    frame = pd.DataFrame([{**DEFAULTS, **row} for row in rows], columns=list(COLUMNS)).astype(COLUMNS)
    known = dict(sorted((dropped or {}).items()))
    counts = CategoryCounts(
        category,
        read=len(rows) + sum(known.values()),
        kept=len(rows),
        dropped=known,
        source_labels=dict(sorted((source_labels or {}).items())),
        labels=dict(sorted((Counter(frame["label"]) if labels is None else labels).items())),
        fraction=fraction,
    )
    return ReviewTable(frame, (counts,))


class Counted(Protocol):
    """Anything with counts of categories."""

    @property
    def counts(self) -> tuple[CategoryCounts, ...]:
        """Return the counts."""


def whole_counts(ingested: Sequence[Counted], parts: Sequence[Counted]) -> tuple[CategoryCounts, ...]:
    """Return for each category the rows that its source had, those in any part, and the dropped ones."""
    split = [one for part in parts for one in part.counts]
    whole = []
    for own in (one for table in ingested for one in table.counts):
        later = [one for one in split if one.category == own.category]
        dropped = _summed([own.dropped, *(one.dropped for one in later)])
        whole.append(replace(own, kept=sum(one.kept for one in later), dropped=dropped))
    return tuple(whole)


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))
