"""Whether a source's columns, texts and labels can be trained on, as far as a quick look at them shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from review_sentiment.data.labels import scheme_of
from review_sentiment.errors import UsageError
from review_sentiment.names import counted

if TYPE_CHECKING:
    from review_sentiment.config import Settings
    from review_sentiment.data.label_counts import LabelCounts

PARTS = ("train", "validation", "evaluation")


def check_reviews(settings: Settings, categories: Iterable[str], counts: LabelCounts | None) -> str:
    """Return what was found; `counts` is None if counting is not cheap.

    Raises:
        UsageError: the columns, the labels or the sizes of the splits cannot be used.
        DataError: too many rows are broken.
    """
    from review_sentiment.decision.calibration import FOLDS

    data, scheme = settings.data, scheme_of(settings.data.labels)
    _require_room(settings, len(scheme.names))
    if counts is None:
        return f"{data.source}: {', '.join(categories)}"
    counts.require_texts(settings.cleaning)
    counts.require_listed(scheme)
    found = ", ".join(f"{name} {_labels(labels)}" for name, labels in counts.by_category.items())
    if not any(len(labels) > 1 for labels in counts.by_category.values()):
        raise UsageError(
            f"data.categories: no category has reviews of two labels ({found}), so there is no balanced "
            "evaluation set. Add categories."
        )
    counts.require_enough(scheme, settings.split, held_out=FOLDS)
    return f"{data.source}: {found}"


def _require_room(settings: Settings, labels: int) -> None:
    for part in PARTS:
        balanced = part != "train" or settings.training.composition == "equal"
        places = getattr(settings.split, f"{part}_per_category")
        if balanced and places < labels:
            raise UsageError(
                f"split.{part}_per_category is {places}: a balanced part needs one review of each of the "
                f"{labels} labels at least. Set it to {labels} or more."
            )


def _labels(counts: Mapping[str, int]) -> str:
    return f"({', '.join(counted(sorted(counts.items()))) or 'none'})"
