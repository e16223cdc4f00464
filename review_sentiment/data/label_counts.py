"""How many reviews of each label a source on this machine has, counted without cleaning them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from review_sentiment.data.labels import LabelScheme
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources.embedded import EmbeddedReviews
from review_sentiment.data.sources.local import LocalFiles

if TYPE_CHECKING:
    from review_sentiment.data.sources.source import ReviewSource

MAX_BYTES = 32_000_000
"""Of a category that is counted: about a second."""


def label_counts(
    source: ReviewSource, categories: Sequence[str], scheme: LabelScheme
) -> dict[str, Counter[str]] | None:
    """Return the reviews of each category by label, or None if counting them is not cheap."""
    if not isinstance(source, EmbeddedReviews | LocalFiles):
        return None
    counts = {}
    for category in categories:
        reading = source.read(category, seed=0)
        if reading.size is None or reading.size > MAX_BYTES:
            return None
        found: Counter[str] = Counter()
        for chunk in reading.chunks:
            for record in chunk.rows:
                label = scheme.label(record.rating) if isinstance(record, ReviewRecord) else None
                found.update([label] if label else [])
        counts[category] = found
    return counts
