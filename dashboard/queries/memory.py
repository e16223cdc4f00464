"""Whether a training fits into this machine's memory, how long it takes, and which settings would fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from review_sentiment.data.sources.catalogue import is_elsewhere, with_categories
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.progress import duration

if TYPE_CHECKING:
    from front_door.run.estimate import DeviceEstimate
    from review_sentiment.config import Settings

JUDGEMENTS: dict[str, Literal["good", "warn", "bad"]] = {
    "fits": "good",
    "tight": "warn",
    "adapts": "warn",
    "may not fit": "warn",
    "does not fit": "bad",
}
HOUR = 3_600


@dataclass(frozen=True)
class Fit:
    """The verdict in words with its judgement, what needs the memory, a change that would fit, and the time.

    All are empty if there is no estimate; `problem` then says why.
    """

    verdict: str = ""
    judgement: str = ""
    memory: str = ""
    change: str = ""
    time: str = ""
    problem: str = ""


def memory_fit(settings: Settings) -> Fit:
    """Return what the settings' training needs of this machine."""
    from front_door.run.estimate import estimate_here
    from front_door.run.training_data import assumed

    if is_elsewhere(settings.data.source) and not settings.data.categories:
        return Fit(problem="Name the categories: they are not known before the source is read.")
    try:
        data = assumed(with_categories(settings))
        found = estimate_here(settings, data)
    except ReviewSentimentError as error:
        return Fit(problem=str(error))
    how = "Fits with" if found.verdict == "adapts" else "Would fit"
    return Fit(
        found.verdict,
        JUDGEMENTS[found.verdict],
        memory_text(found),
        f"{how}: {found.would_fit}" if found.would_fit else "",
        f"About {duration(found.hours * HOUR)} for {data.described(settings)}.",
    )


def memory_text(found: DeviceEstimate) -> str:
    """Return how much memory the training needs, and for what."""
    m = found.memory
    return (
        f"Needs about {m.total / 1e9:.1f} of {found.usable / 1e9:.1f} usable GB ({found.precision}): "
        f"weights {m.weights / 1e9:.2f}, adapters {m.adapters / 1e9:.2f}, activations "
        f"{m.activations / 1e9:.2f}, other {(m.logits + m.dequantised + m.overhead) / 1e9:.2f}."
    )
