"""What the columns of a source on this machine hold, counted without cleaning: labels, and what is wrong."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from review_sentiment.data.cleaning import EXAMPLES_SHOWN, require_readable
from review_sentiment.data.labels import LONGEST_SHOWN, LabelScheme
from review_sentiment.data.records import BrokenRecord, ReviewRecord
from review_sentiment.data.sources.embedded import EmbeddedReviews
from review_sentiment.data.sources.local import LocalFiles
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from review_sentiment.config import CleaningSettings, SplitSettings
    from review_sentiment.data.sources.source import ReviewSource

MAX_BYTES = 32_000_000
"""Of a category that is counted: about a second."""
VALUES_SHOWN = 8
LONG = "a long text"
MOSTLY = 0.5


@dataclass
class LabelCounts:
    """The reviews of each category by label, and the values of the label column that have no label.

    Long values are counted together: they are texts and no names of classes. `without_text` counts rows whose
    text is empty, `without_words` those whose text has no letter. `rows` are counted by category, and
    `broken` ones listed with their place and reason.
    """

    by_category: dict[str, Counter[str]] = field(default_factory=dict)
    other_values: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    broken: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    without_text: int = 0
    without_words: int = 0

    def add(self, category: str, record: ReviewRecord | BrokenRecord, scheme: LabelScheme) -> None:
        """Count a row."""
        self.rows[category] += 1
        if isinstance(record, BrokenRecord):
            self.broken[category].append(f"{record.place}: {record.detail or record.reason}")
            return
        self.without_text += not record.text.strip()
        self.without_words += not any(map(str.isalpha, record.text))
        label = scheme.label(record.label)
        if label:
            self.by_category[category][label] += 1
        else:
            self.other_values[record.label if len(record.label) <= LONGEST_SHOWN else LONG] += 1

    def of_label(self, label: str) -> int:
        """Return the reviews of a label in all categories."""
        return sum(counts.get(label, 0) for counts in self.by_category.values())

    def require_texts(self, cleaning: CleaningSettings) -> None:
        """Check that most rows have a text of words, and that no more are broken than the settings allow.

        Raises:
            UsageError: the column of the text is empty, or holds numbers.
            DataError: too many rows are broken.
        """
        for category, broken in self.broken.items():
            limit = cleaning.max_broken_share
            require_readable(category, len(broken), self.rows[category], limit, broken[:EXAMPLES_SHOWN])
        readable = self.rows.total() - sum(map(len, self.broken.values()))
        if self.without_text > MOSTLY * readable:
            raise UsageError(
                f"data.columns.text: {self.without_text:,} of {readable:,} texts are empty. Name the column "
                "that has the text."
            )
        if self.without_words > MOSTLY * readable:
            raise UsageError(
                f"data.columns.text: {self.without_words:,} of {readable:,} texts have no words, only "
                "numbers or signs. Name the column that has the text."
            )

    def require_listed(self, scheme: LabelScheme) -> None:
        """Check that every label of a list or mapping has rows.

        Raises:
            UsageError: one has none; the message has the values that exist.
        """
        rows = {name: self.of_label(name) for name in scheme.names}
        absent = [f"'{name}'" for name, count in rows.items() if not count]
        if absent and not scheme.has_stars:
            most = self.other_values.most_common(VALUES_SHOWN)
            found = [f"'{name}' ({count:,})" for name, count in rows.items() if count]
            found += [f"{_shown(value)} ({count:,})" for value, count in most]
            more = " and others" if len(self.other_values) > len(most) else ""
            raise UsageError(
                f"data.labels: no row has the label {' or '.join(absent)}. The column of the labels has: "
                f"{', '.join(found) or 'no values'}{more}."
            )

    def require_enough(self, scheme: LabelScheme, split: SplitSettings, held_out: int) -> None:
        """Check that validation and evaluation can be expected to have `held_out` rows of each label.

        Raises:
            UsageError: a label has too few rows.
        """
        rows = {name: self.of_label(name) for name in scheme.names}
        part, share = min(
            (("validation", split.validation_share), ("evaluation", split.evaluation_share)),
            key=lambda pair: pair[1],
        )
        needed = math.ceil(held_out / share)
        few = [f"'{name}' has {count:,}" for name, count in rows.items() if 0 < count < needed]
        if few:
            raise UsageError(
                f"data.labels: {', '.join(few)} rows, and each label needs {needed}, so that split."
                f"{part}_share={share:g} holds out {held_out}. Add rows, raise that setting, or leave "
                "the label out."
            )


def label_counts(source: ReviewSource, categories: Sequence[str], scheme: LabelScheme) -> LabelCounts | None:
    """Return the counts, or None if counting is not cheap."""
    if not isinstance(source, EmbeddedReviews | LocalFiles):
        return None
    counts = LabelCounts()
    for category in categories:
        reading = source.read(category, seed=0)
        if reading.size is None or reading.size > MAX_BYTES:
            return None
        counts.by_category[category] = Counter()
        for chunk in reading.chunks:
            for record in chunk.rows:
                counts.add(category, record, scheme)
    return counts


def _shown(value: str) -> str:
    return value if value == LONG else f"'{value}'" if value else "no value"
