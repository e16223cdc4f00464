"""Two registered versions side by side: settings, figures, the paired test, and the answers that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import Comparison, compare_models
from review_sentiment.tracking import model_versions, recorded_runs

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
"""Tags of a version that are shown."""
CHANGED_COLUMNS = ["review_id", "category", "gold", "first", "second", "title", "text"]


@dataclass(frozen=True)
class VersionComparison:
    """What is different between two versions.

    `settings` and `figures` have the value of the first and that of the second.
    `test` is the second against the first, on the reviews that both were evaluated on; None where there is
    none, and `why_no_test` says why. `changed` are the reviews that only one had right, with the
    columns of `CHANGED_COLUMNS`.
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
    versions = [model_versions.get_version(name, version) for version in (first, second)]
    tables = [recorded_runs.recorded_predictions(version.run_id) for version in versions]
    test, why = None, ""
    changed = pd.DataFrame(columns=CHANGED_COLUMNS)
    for version, table in zip(versions, tables, strict=True):
        if table is None:
            why = f"The run of version {version.version} has no predictions."
    old, new = tables
    if old is not None and new is not None:
        try:
            test = compare_models(new, old, f"version {versions[0].version}", "predicted")
            changed = _changed(old, new, recorded_runs.recorded_reviews(versions[1].run_id))
        except DataError as error:
            why = str(error)
    return VersionComparison(
        first=versions[0],
        second=versions[1],
        settings=different_settings(*versions),
        figures={key: (versions[0].tags.get(key, "-"), versions[1].tags.get(key, "-")) for key in FIGURES},
        test=test,
        why_no_test=why,
        changed=changed,
    )


def different_settings(first: ModelVersion, second: ModelVersion) -> dict[str, tuple[str, str]]:
    """Return the recorded parameters in which two versions differ, with the value of each."""
    old, new = (recorded_runs.recorded_parameters(version.run_id) for version in (first, second))
    return {
        key: (old.get(key, "-"), new.get(key, "-"))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


def _changed(old: pd.DataFrame, new: pd.DataFrame, reviews: pd.DataFrame | None) -> pd.DataFrame:
    """Return the reviews that one version alone had right: those that were lost first."""
    both = old[["review_id", "category", "gold", "predicted"]].merge(
        new[["review_id", "predicted"]], on="review_id", suffixes=("_first", "_second")
    )
    both = both.rename(columns={"predicted_first": "first", "predicted_second": "second"})
    lost, won = both["first"] == both["gold"], both["second"] == both["gold"]
    changed = pd.concat([both[lost & ~won], both[won & ~lost]])
    if reviews is None:
        return changed.assign(title="", text="")[CHANGED_COLUMNS]
    return changed.merge(reviews[["review_id", "title", "text"]], on="review_id", how="left")[CHANGED_COLUMNS]
