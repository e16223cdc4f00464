"""How many held-out reviews the tuned model will score, counted before the reviews are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.data.held_out_size import others_per_rarest
from review_sentiment.data.labels import scheme_of
from review_sentiment.progress import duration

if TYPE_CHECKING:
    from review_sentiment.config import Settings

Counts = Mapping[str, Mapping[str, int]]
"""Reviews of each category by label."""
Stratum = tuple[int, list[float]]
"""A category's held-out reviews of its rarest label, and how often each label occurs per one of these."""


@dataclass(frozen=True)
class HeldOut:
    """Validation and evaluation reviews to score; `added` of them are there for `natural_interval`."""

    reviews: int
    added: int


@dataclass(frozen=True)
class Scoring:
    """The held-out reviews that the tuned model scores, and how long it takes."""

    reviews: int
    added_for_natural_interval: int
    seconds: float

    def __str__(self) -> str:
        added = self.added_for_natural_interval
        why = f", {added:,} of them for evaluation.natural_interval" if added else ""
        return f"scoring takes about {duration(self.seconds)} for {self.reviews:,} held-out reviews{why}"


def held_out(settings: Settings, counts: Counts | None) -> HeldOut:
    """Return the expected number of reviews; without counts, every category fills its maximum."""
    split = settings.split
    labels = len(scheme_of(settings.data.labels).names)
    sets = {}
    for part in ("validation", "evaluation"):
        fraction, cap = (getattr(split, f"{part}_{name}") for name in ("share", "per_category"))
        if counts is None:
            each = max(1, len(settings.data.categories)) * (cap // labels)
            sets[part] = [(each, [1.0] + [split.majority_ratio] * (labels - 1))]
        else:
            sets[part] = [_stratum(found, fraction, cap) for found in counts.values() if len(found) > 1]
    planned = {part: _size(strata, split.majority_ratio) for part, strata in sets.items()}
    if not settings.evaluation.natural_interval or counts is None:
        return HeldOut(sum(planned.values()), 0)
    rarest = sum(each for each, _ in sets["evaluation"])
    by_label = [
        sum(found.get(label, 0) for found in counts.values()) for label in set().union(*counts.values())
    ]
    ratio = others_per_rarest(settings.evaluation.natural_interval, rarest, min(by_label) / sum(by_label))
    added = _size(sets["evaluation"], max(ratio, split.majority_ratio)) - planned["evaluation"]
    return HeldOut(sum(planned.values()) + added, added)


def _stratum(found: Mapping[str, int], fraction: float, cap: int) -> Stratum:
    rarest = min(found.values())
    return round(min(cap // len(found), fraction * rarest)), [count / rarest for count in found.values()]


def _size(strata: list[Stratum], majority_ratio: float) -> int:
    return round(sum(each * min(ratio, majority_ratio) for each, ratios in strata for ratio in ratios))
