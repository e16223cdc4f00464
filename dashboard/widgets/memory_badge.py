"""Whether a training fits into this machine's memory and, if not, which settings would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import marimo as mo

from dashboard.widgets.layout import Judgement, badge, column, paragraph, row
from review_sentiment.data.sources.catalogue import is_elsewhere, with_categories
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.progress import duration

if TYPE_CHECKING:
    from front_door.run.estimate import DeviceEstimate
    from review_sentiment.config import Settings

JUDGEMENTS: dict[str, Judgement] = {
    "fits": "good",
    "tight": "warn",
    "adapts": "warn",
    "may not fit": "warn",
    "does not fit": "bad",
}
HOUR = 3_600


def memory_badge(settings: Settings) -> mo.Html:
    """Show whether the settings' training fits into memory, or why that cannot be estimated."""
    from front_door.run.estimate import estimate_here
    from front_door.run.training_data import assumed

    if is_elsewhere(settings.data.source) and not settings.data.categories:
        return paragraph("No estimate: name data.categories, which are not known before the source is read.")
    try:
        data = assumed(with_categories(settings))
        found = estimate_here(settings, data)
    except ReviewSentimentError as error:
        return paragraph(f"No estimate: {error}")
    how = "Fits with" if found.verdict == "adapts" else "Would fit"
    return column(
        [
            row([mo.md("**Memory on this machine**"), badge(found.verdict, JUDGEMENTS[found.verdict])]),
            paragraph(memory_text(found)),
            paragraph(f"{how}: {found.would_fit}") if found.would_fit else None,
            paragraph(
                f"Estimated time: {duration(found.hours * HOUR)} for {data.described(settings)}.", small=True
            ),
        ],
        gap=0.2,
    )


def memory_text(found: DeviceEstimate) -> str:
    """Return how much memory the training needs, and for what."""
    m = found.memory
    return (
        f"Needs about {m.total / 1e9:.1f} of {found.usable / 1e9:.1f} usable GB ({found.precision}): "
        f"weights {m.weights / 1e9:.2f}, adapters {m.adapters / 1e9:.2f}, activations "
        f"{m.activations / 1e9:.2f}, other {(m.logits + m.dequantised + m.overhead) / 1e9:.2f}."
    )
