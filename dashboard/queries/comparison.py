"""Several models on the reviews that all of them answered, from the evidence kept with their versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dashboard.figures import Line
from dashboard.queries.versions import Registry, find_version
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.errors import DataError, TrackingError
from review_sentiment.evaluation.comparison import Comparison, compare_models
from review_sentiment.evaluation.intervals import RELIABILITY_BINS
from review_sentiment.evaluation.metrics import Metrics, compute_metrics
from review_sentiment.evaluation.model_titles import title_of as model_title
from review_sentiment.evaluation.natural import NaturalMetrics, natural_metrics
from review_sentiment.evaluation.predictions import LENGTH_QUARTERS, UNPARSED, answers_of, slice_table
from review_sentiment.scoring.answers import labels_of
from review_sentiment.tracking.mlflow_store import BASELINE, TUNED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.tracking.model_versions import ModelVersion

FEWEST, MOST = 2, 6
"""Models in a comparison: as many as there are colours."""
KEYS = ["review_id", "gold"]
"""A review is shared only if its label is the same for all models: one answer must be right for all."""
CACHE_SIZE = 32


@dataclass(frozen=True)
class Choice:
    """A model to compare: a version, or a model that was evaluated beside it.

    `key` names it in an address: `2`, `2:tfidf`, and with another registered model `NAME/2`.
    """

    key: str
    title: str
    version: ModelVersion
    model: str = TUNED

    def __hash__(self) -> int:
        """Hash by the version's files: its tags are a dictionary."""
        return hash((self.version.model_id, self.model))


@dataclass(frozen=True)
class RecordedEvaluation:
    """A model's evaluation: `predictions` on the balanced reviews, `stratified` on all with `rule`'s answers.

    `shares` are the natural shares of the labels.
    """

    choice: Choice
    predictions: pd.DataFrame
    stratified: pd.DataFrame
    rule: DecisionRule
    shares: Mapping[str, float]

    @property
    def labels(self) -> list[str]:
        """Return the labels in the order of the class index."""
        return labels_of(self.predictions)


@dataclass(frozen=True)
class Shared:
    """Evaluations on the reviews that all models answered, in the same order; `of` are all of each model."""

    models: tuple[RecordedEvaluation, ...]
    of: tuple[int, ...]


@dataclass(frozen=True)
class ComparedFigures:
    """Each model's figures on the shared reviews, and paired tests of the others with the first."""

    natural: tuple[NaturalMetrics, ...]
    balanced: tuple[Metrics, ...]
    natural_tests: tuple[Comparison, ...]
    balanced_tests: tuple[Comparison, ...]


def version_choice(version: ModelVersion, registry: Registry) -> Choice:
    """Return a version as a model to compare."""
    own = version.name == registry.model
    key = version.version if own else version.title
    return Choice(key, f"version {key}" if own else key, version)


def beside(chosen: Choice) -> list[Choice]:
    """Return the models that were evaluated beside a version."""
    return [
        replace(
            chosen, key=f"{chosen.key}:{model}", title=f"{model_title(model)} of {chosen.title}", model=model
        )
        for model in chosen.version.compared_models
    ]


def find_choice(key: str, registry: Registry) -> Choice | None:
    """Return the model that a key names, or None.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    title, _, model = key.partition(":")
    name, _, number = title.rpartition("/")
    version = find_version(name, number) if name else registry.find(number)
    if version is None:
        return None
    chosen = version_choice(version, registry)
    return next((one for one in beside(chosen) if one.model == model), None) if model else chosen


def default_choices(registry: Registry) -> list[Choice]:
    """Return the champion and the newest version, or with one version, a model beside it and the version."""
    newest, champion = registry.versions[0], registry.champion
    if champion is not None and champion.version != newest.version:
        return [version_choice(champion, registry), version_choice(newest, registry)]
    if len(registry.versions) > 1:
        return [version_choice(one, registry) for one in (registry.versions[1], newest)]
    chosen = version_choice(newest, registry)
    others = sorted(beside(chosen), key=lambda one: one.model != BASELINE)
    return [*others[:1], chosen]


@lru_cache(CACHE_SIZE)
def read_evaluation(choice: Choice) -> RecordedEvaluation:
    """Read a model's evaluation, which never changes once it is recorded.

    Raises:
        TrackingError: the version's files are gone.
    """
    from review_sentiment.tracking import evidence

    version, model = choice.version, choice.model
    return RecordedEvaluation(
        choice,
        evidence.predictions_of(version, model),
        evidence.stratified_of(version, model),
        evidence.rule_of(version, model),
        evidence.natural_of(version, model).share,
    )


def shared_of(evaluations: Sequence[RecordedEvaluation]) -> Shared:
    """Keep the reviews that all models answered, with the texts and weights of the first.

    Raises:
        DataError: they share no reviews, or their labels differ.
    """
    labels = evaluations[0].labels
    if other := next((one for one in evaluations if one.labels != labels), None):
        raise DataError(
            f"{evaluations[0].choice.title} answers with {', '.join(labels)}, {other.choice.title} with "
            f"{', '.join(other.labels)}. Models with different labels cannot be compared."
        )
    stratified, predictions = (
        _aligned([getattr(one, name) for one in evaluations]) for name in ("stratified", "predictions")
    )
    if set(stratified[0]["gold"]) != set(labels) or set(predictions[0]["gold"]) != set(labels):
        raise DataError(
            f"The evaluation sets do not overlap enough: {len(stratified[0])} reviews are in all of them, "
            f"{len(predictions[0])} of these in the balanced part. A comparison needs shared reviews of each "
            "label."
        )
    models = zip(evaluations, stratified, predictions, strict=True)
    return Shared(
        tuple(replace(one, stratified=all_, predictions=balanced) for one, all_, balanced in models),
        tuple(len(one.stratified) for one in evaluations),
    )


def figures_of(shared: Shared) -> ComparedFigures:
    """Compute figures and paired tests; the natural shares are those of the first model."""
    first, *others = shared.models
    shares = tuple(first.shares[label] for label in first.labels)
    title = first.choice.title
    return ComparedFigures(
        tuple(natural_metrics(one.stratified, one.rule, shares) for one in shared.models),
        tuple(compute_metrics(one.predictions, one.labels) for one in shared.models),
        tuple(
            compare_models(one.stratified, first.stratified, title, "decided", first.shares) for one in others
        ),
        tuple(compare_models(one.predictions, first.predictions, title) for one in others),
    )


def differing_settings(*versions: ModelVersion) -> Mapping[str, tuple[str, ...]] | None:
    """Return the settings in which versions differ, with the value of each; None if some are gone."""
    from review_sentiment.registry.version_comparison import different_settings

    try:
        return different_settings(*versions)
    except TrackingError:
        return None


def confusion_counts(recorded: RecordedEvaluation) -> tuple[list[list[int]], list[str], list[str]]:
    """Return counts, gold labels and answers; unparsed answers have a column only if there are any."""
    table, labels = recorded.predictions, recorded.labels
    answers = [*labels, *([UNPARSED] if (table["predicted"] == UNPARSED).any() else [])]
    counts = pd.crosstab(table["gold"], table["predicted"]).reindex(index=labels, columns=answers)
    return counts.fillna(0).astype(int).to_numpy().tolist(), labels, answers


def drawn_label(recorded: RecordedEvaluation) -> str:
    """Return the label whose curves are drawn: the rarest, or the second of two, which mirror each other."""
    return recorded.labels[-1] if len(recorded.labels) == TWO_CLASSES else recorded.rule.rarest


def roc_line(recorded: RecordedEvaluation, label: str) -> Line:
    """Return the true over the false positive rate of a label."""
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(*_of_label(recorded, label))
    return Line(recorded.choice.title, false_rate.tolist(), true_rate.tolist())


def reliability_line(recorded: RecordedEvaluation, label: str) -> Line:
    """Return the fraction of positives over the predicted probability of a label.

    The bins have equal numbers of reviews.
    """
    from sklearn.calibration import calibration_curve

    fraction, predicted = calibration_curve(
        *_of_label(recorded, label), n_bins=RELIABILITY_BINS, strategy="quantile"
    )
    return Line(recorded.choice.title, predicted.tolist(), fraction.tolist())


def slice_lines(shared: Shared, reviews: pd.DataFrame) -> dict[str, list[Line]]:
    """Return each model's accuracies by slice of the balanced reviews, with intervals, by dimension."""
    ids = shared.models[0].predictions[["review_id"]]
    known = ids.merge(reviews, on="review_id", how="left")
    # How much of a review a model reads is its own: the quarters are those of the text.
    known = known.assign(prompt_tokens=known["text"].fillna("").str.len(), truncated=False)
    found: dict[str, list[Line]] = {}
    for one in shared.models:
        slices = slice_table(known, one.predictions)
        slices = slices[slices["dimension"] != "cut to fit"]
        for dimension, own in slices.groupby("dimension", sort=False):
            quarters = own.set_index("value").reindex(LENGTH_QUARTERS).dropna().reset_index()
            rows = quarters if dimension == "length" else own
            if len(rows) < 2:  # noqa: PLR2004 - one slice is all reviews
                continue
            columns = (list(rows[column]) for column in ("accuracy", "low", "high"))
            found.setdefault(str(dimension), []).append(
                Line(one.choice.title, list(rows["value"].astype(str)), *columns)
            )
    return found


def gold_probabilities(recorded: RecordedEvaluation) -> np.ndarray[Any, Any]:
    """Return the probability [n] of the gold label in production."""
    answers = answers_of(recorded.stratified, recorded.rule.labels)
    probabilities = recorded.rule.probabilities(answers.log_probs)
    return np.asarray(probabilities[range(len(recorded.stratified)), answers.gold])


def _aligned(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return the rows of the reviews that are in all tables, in the order of the reviews' ids."""
    shared = tables[0][KEYS]
    for table in tables[1:]:
        shared = shared.merge(table[KEYS], on=KEYS)
    return [table.merge(shared, on=KEYS).sort_values("review_id", ignore_index=True) for table in tables]


def _of_label(recorded: RecordedEvaluation, label: str) -> tuple[Any, Any]:
    """Return whether each review has a label, and the label's predicted probability."""
    answers = answers_of(recorded.predictions, recorded.labels)
    number = recorded.labels.index(label)
    return answers.gold == number, answers.probabilities[:, number]
