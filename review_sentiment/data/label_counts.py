"""How many reviews of each label a source on this machine has, counted without cleaning them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.config import MAX_LABEL
from review_sentiment.data.labels import LabelScheme
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources.embedded import EmbeddedReviews
from review_sentiment.data.sources.local import LocalFiles
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from review_sentiment.config import SplitSettings
    from review_sentiment.data.sources.source import ReviewSource

MAX_BYTES = 32_000_000
"""Of a category that is counted: about a second."""
VALUES_SHOWN = 8
LONG = "a long text"
FEWEST_HELD_OUT = 2
"""Reviews of a label that validation and evaluation need on average: below, some splits would have none."""


@dataclass(frozen=True)
class LabelCounts:
    """The reviews of each category by label, and the values of the label column that have no label.

    Long values are counted together: they are texts and no names of classes.
    """

    by_category: Mapping[str, Mapping[str, int]]
    other_values: Mapping[str, int]

    def of_label(self, label: str) -> int:
        """Return the reviews of a label in all categories."""
        return sum(counts.get(label, 0) for counts in self.by_category.values())

    def require(self, scheme: LabelScheme, split: SplitSettings) -> None:
        """Check that every label of a list or mapping has rows, and each label enough for the splits.

        Raises:
            UsageError: one does not; the message has the values that exist.
        """
        rows = {name: self.of_label(name) for name in scheme.names}
        absent = [f"'{name}'" for name, count in rows.items() if not count]
        if absent and not scheme.has_stars:
            most = Counter(self.other_values).most_common(VALUES_SHOWN)
            found = [f"'{name}' ({count:,})" for name, count in rows.items() if count]
            found += [f"{_shown(value)} ({count:,})" for value, count in most]
            more = " and others" if len(self.other_values) > len(most) else ""
            raise UsageError(
                f"data.labels: no row has the label {' or '.join(absent)}. The column of the labels has: "
                f"{', '.join(found) or 'no values'}{more}."
            )
        part, share = min(
            (("validation", split.validation_share), ("evaluation", split.evaluation_share)),
            key=lambda pair: pair[1],
        )
        needed = math.ceil(FEWEST_HELD_OUT / share)
        few = [f"'{name}' has {count:,}" for name, count in rows.items() if 0 < count < needed]
        if few:
            raise UsageError(
                f"data.labels: {', '.join(few)} rows, and each label needs {needed}, so that split."
                f"{part}_share={share:g} holds out {FEWEST_HELD_OUT}. Add rows, raise that setting, or leave "
                "the label out."
            )


def _shown(value: str) -> str:
    return f"'{value}'" if value else "no value"


def label_counts(source: ReviewSource, categories: Sequence[str], scheme: LabelScheme) -> LabelCounts | None:
    """Return the counts, or None if counting is not cheap."""
    if not isinstance(source, EmbeddedReviews | LocalFiles):
        return None
    counts: dict[str, Counter[str]] = {}
    others: Counter[str] = Counter()
    for category in categories:
        reading = source.read(category, seed=0)
        if reading.size is None or reading.size > MAX_BYTES:
            return None
        found = counts.setdefault(category, Counter())
        for chunk in reading.chunks:
            for record in chunk.rows:
                if not isinstance(record, ReviewRecord):
                    continue
                label = scheme.label(record.label)
                if label:
                    found[label] += 1
                else:
                    others[record.label if len(record.label) <= MAX_LABEL else LONG] += 1
    return LabelCounts(counts, others)
