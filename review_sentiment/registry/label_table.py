"""Labels in the card: some of many in a sentence, and the table of what production will see of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from review_sentiment.names import in_markdown
from review_sentiment.registry.category_table import GAP

if TYPE_CHECKING:
    from review_sentiment.evaluation.natural import NaturalMetrics

MAX_LABELS_NAMED = 5
"""Labels in a sentence; more are counted."""
MAX_LABELS_IN_TABLE = 20
PER_LABEL = ("precision", "recall")


def few(texts: Sequence[str]) -> str:
    """Return some texts as a list, and how many more there are."""
    more = len(texts) - MAX_LABELS_NAMED
    return ", ".join(texts) if more <= 1 else f"{', '.join(texts[:MAX_LABELS_NAMED])} and {more} more"


def label_table(natural: NaturalMetrics | None) -> str:
    """Return a Markdown table with a row per label, those with the lowest recall first."""
    if natural is None:
        return ""
    labels = sorted(natural.share, key=lambda label: natural.recall[label])
    rows = [
        (
            in_markdown(label),
            f"{natural.share[label]:.1%}",
            *(natural.shown(name, label) for name in PER_LABEL),
        )
        for label in labels[:MAX_LABELS_IN_TABLE]
    ]
    more = len(labels) - len(rows)
    heading = ("label", "share", *PER_LABEL)
    return "\n".join(
        [
            f"| {GAP.join(heading)} |",
            f"|---|{'---:|' * (len(heading) - 1)}",
            *(f"| {GAP.join(row)} |" for row in rows),
            *([f"\n{more} more labels have a higher recall."] if more > 0 else []),
        ]
    )
