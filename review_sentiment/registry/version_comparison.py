"""Two registered versions side by side: settings, figures, the paired test, and the answers that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import Comparison, compare_models, paired_answers
from review_sentiment.tracking import evidence, model_versions

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

FIGURES = (
    "accuracy",
    "accuracy_interval",
    "f1",
    "roc_auc",
    "calibration_error",
    "evaluation_reviews",
    "gate",
)
"""Tags of a version that a comparison shows."""
CHANGED_COLUMNS = ["review_id", "category", "gold", "first", "second", "title", "text"]


@dataclass(frozen=True)
class VersionComparison:
    """The differences between two versions.

    `settings` and `figures` map names to the values of the first and the second version. `test` compares the
    second with the first on the reviews that both answered; if there is none, `why_no_test` explains why.
    `changed` has the reviews that only one version answered correctly, in the columns `CHANGED_COLUMNS`.
    """

    first: ModelVersion
    second: ModelVersion
    settings: Mapping[str, tuple[str, str]]
    figures: Mapping[str, tuple[str, str]]
    test: Comparison | None
    why_no_test: str
    changed: pd.DataFrame


def compare_versions(name: str, first: str, second: str) -> VersionComparison:
    """Compare two versions of a model, each given by its number or alias.

    Raises:
        UsageError: there is no such version.
    """
    old, new = (model_versions.get_version(name, version) for version in (first, second))
    test, why_no_test, changed = _paired_test(old, new)
    return VersionComparison(
        first=old,
        second=new,
        settings=different_settings(old, new),
        figures={key: (old.tags.get(key, "-"), new.tags.get(key, "-")) for key in FIGURES},
        test=test,
        why_no_test=why_no_test,
        changed=changed,
    )


def _paired_test(old: ModelVersion, new: ModelVersion) -> tuple[Comparison | None, str, pd.DataFrame]:
    """Return the test, or why there is none, and the answers that changed."""
    before, after = (evidence.predictions_of(version) for version in (old, new))
    try:
        test = compare_models(after, before, f"version {old.version}")
    except DataError as error:
        return None, str(error), pd.DataFrame(columns=CHANGED_COLUMNS)
    return test, "", _changed(paired_answers(before, after), evidence.reviews_of(new))


def different_settings(first: ModelVersion, second: ModelVersion) -> dict[str, tuple[str, str]]:
    """Return the settings in which two versions differ, with both values."""
    old, new = (evidence.settings_of(version) for version in (first, second))
    return {
        key: (old.get(key, "-"), new.get(key, "-"))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


def _changed(both: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews that only one version answered correctly, those that the second lost first."""
    changed = both[both["change"].isin(["lost", "won"])].sort_values("change", kind="stable")
    return changed.merge(reviews[["review_id", "title", "text"]], on="review_id", how="left")[CHANGED_COLUMNS]
