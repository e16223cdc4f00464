"""Whether a training would fit into this machine's memory, and what would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import marimo as mo

from dashboard.widgets.layout import Judgement, badge, clock, said
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from front_door.run.estimate import Row
    from review_sentiment.config import Settings

JUDGEMENTS: dict[str, Judgement] = {"fits": "good", "tight": "warn", "does not fit": "bad"}
HOUR = 3_600


def memory_badge(settings: Settings) -> mo.Html:
    """Show verdict and figures of the settings' training; a model that cannot be read is said so."""
    from front_door.run.estimate import estimate_here, most_reviews, reviews_said

    try:
        row = estimate_here(settings)
    except ReviewSentimentError as error:
        return said(f"No estimate: {error}")
    lines = [
        mo.hstack(
            [mo.md("**Memory on this machine**"), badge(row.verdict, JUDGEMENTS[row.verdict])],
            justify="start",
        ),
        said(memory_text(row)),
    ]
    if row.would_fit:
        lines.append(said(f"Would fit: {row.would_fit}"))
    reviews = reviews_said(most_reviews(settings))
    lines.append(said(f"About {clock(row.hours * HOUR)} for {reviews}; an estimate.", small=True))
    return mo.vstack(lines, gap=0.2)


def memory_text(row: Row) -> str:
    """Return what is needed, by what it is for."""
    m = row.memory
    return (
        f"It needs about {m.total / 1e9:.1f} of {row.usable / 1e9:.1f} usable GB ({row.precision}): "
        f"weights {m.weights / 1e9:.2f}, adapters {m.adapters / 1e9:.2f}, activations "
        f"{m.activations / 1e9:.2f}, the rest {(m.logits + m.dequantised + m.overhead) / 1e9:.2f}."
    )
