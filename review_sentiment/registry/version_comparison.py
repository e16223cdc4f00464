"""Two registered versions side by side: settings, figures, the paired test, and the answers that differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import Comparison, compare_models, paired_answers
from review_sentiment.evaluation.natural import natural_difference
from review_sentiment.tracking import evidence, model_versions
from review_sentiment.tracking.mlflow_store import TUNED

if TYPE_CHECKING:
    from review_sentiment.evaluation.natural import NaturalMetrics
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
class NaturalComparison:
    """What production will see of two versions, each answering by its own decision rule.

    `rules` describe how the versions decide. `difference` has the second version's figures minus the first's.
    `test` and `changed` are as in `VersionComparison`.
    """

    rules: tuple[str, str]
    figures: tuple[NaturalMetrics, NaturalMetrics]
    difference: NaturalMetrics
    test: Comparison
    changed: pd.DataFrame

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the titles of the figures, both versions' values and their difference, with intervals."""
        first, second = self.figures
        return [
            (title, first.shown(*figure), second.shown(*figure), self.difference.shown(*figure, "+.3f"))
            for title, figure in (first.rows() | second.rows()).items()
        ]


@dataclass(frozen=True)
class VersionComparison:
    """The differences between two versions.

    `settings` and `figures` map names to the values of the first and the second version; the figures are
    those of the balanced reviews. `test` compares the second with the first on those that both answered, by
    their likeliest labels; if there is no test, `why_no_test` explains why. `changed` has the reviews that
    only one version answered correctly, in the columns `CHANGED_COLUMNS`. `natural` is the comparison at the
    natural share.
    """

    first: ModelVersion
    second: ModelVersion
    settings: Mapping[str, tuple[str, ...]]
    figures: Mapping[str, tuple[str, str]]
    natural: NaturalComparison | None
    test: Comparison | None
    why_no_test: str
    changed: pd.DataFrame


def compare_versions(name: str, first: str, second: str) -> VersionComparison:
    """Compare two versions of a model, each given by its number or alias.

    Raises:
        UsageError: a version does not exist.
    """
    old, new = (model_versions.get_version(name, version) for version in (first, second))
    natural, test, why_no_test, changed = None, None, "", pd.DataFrame(columns=CHANGED_COLUMNS)
    try:
        before, after = (evidence.predictions_of(version) for version in (old, new))
        test = compare_models(after, before, f"version {old.version}")
        changed = _changed(paired_answers(before, after), evidence.reviews_of(new))
        natural = natural_comparison(old, new)
    except DataError as error:
        why_no_test = str(error)
    return VersionComparison(
        first=old,
        second=new,
        settings=different_settings(old, new),
        figures={key: (old.tags.get(key, "-"), new.tags.get(key, "-")) for key in FIGURES},
        natural=natural,
        test=test,
        why_no_test=why_no_test,
        changed=changed,
    )


def natural_comparison(
    old: ModelVersion, new: ModelVersion, models: tuple[str, str] = (TUNED, TUNED)
) -> NaturalComparison:
    """Compare two versions, or models beside them, as the gate does, at the shares of the second's source.

    Raises:
        DataError: they have no review with the same label in common.
        TrackingError: the answers or the rule of a version are gone.
    """
    before, after = models
    answers = evidence.stratified_of(old, before), evidence.stratified_of(new, after)
    rules = evidence.rule_of(old, before), evidence.rule_of(new, after)
    figures = evidence.natural_of(old, before), evidence.natural_of(new, after)
    share = figures[1].share
    test = compare_models(answers[1], answers[0], f"version {old.version}", "decided", share)
    shares = tuple(share[label] for label in rules[1].labels)
    difference = natural_difference(*answers, rules, shares)
    low, high = test.overall.interval  # one interval of the accuracy, that of the gate
    return NaturalComparison(
        rules=(rules[0].in_words(), rules[1].in_words()),
        figures=figures,
        difference=replace(
            difference,
            low={**difference.low, "accuracy": low},
            high={**difference.high, "accuracy": high},
        ),
        test=test,
        changed=_changed(paired_answers(*answers, "decided"), evidence.reviews_of(new)),
    )


def different_settings(*versions: ModelVersion) -> dict[str, tuple[str, ...]]:
    """Return the settings in which versions differ, with the value of each; "-" for one that lacks it.

    Raises:
        TrackingError: the settings of a version are gone.
    """
    found = [evidence.settings_of(version) for version in versions]
    rows = {key: tuple(each.get(key, "-") for each in found) for key in sorted(set().union(*found))}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def _changed(both: pd.DataFrame, reviews: pd.DataFrame) -> pd.DataFrame:
    """Return the reviews that only one version answered correctly, those that the second lost first."""
    changed = both[both["change"].isin(["lost", "won"])].sort_values("change", kind="stable")
    texts = reviews[["review_id", "title", "text"]]
    return changed.merge(texts, on="review_id", how="left")[CHANGED_COLUMNS].fillna("")
