"""Two models side by side: their recorded evaluations, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from dashboard.queries.versions import Registry, title_of
from dashboard.widgets.figures import Line
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.evaluation.comparison import RULES, Comparison, compare_models, paired_answers
from review_sentiment.evaluation.intervals import RELIABILITY_BINS
from review_sentiment.evaluation.model_titles import title_of as model_title
from review_sentiment.evaluation.predictions import LENGTH_QUARTERS, UNPARSED, answers_of
from review_sentiment.scoring.answers import labels_of
from review_sentiment.tracking.mlflow_store import BASELINE, TUNED

if TYPE_CHECKING:
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.natural import NaturalMetrics
    from review_sentiment.registry.version_comparison import NaturalComparison
    from review_sentiment.tracking.model_versions import ModelVersion

SHOWN_FIGURES = {
    "accuracy": "accuracy",
    "constrained_accuracy": "constrained accuracy",
    "f1": "macro-F1",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "unparsed_rate": "unparsed rate",
    "quadratic_kappa": "quadratic kappa",
    "mean_absolute_error": "mean absolute error",
}
"""Metrics and their names on the page; the last two are of labels on a scale."""
CACHE_SIZE = 32
TESTS = {"balanced": "McNemar's test", "natural": "McNemar's test with weights"}
"""The paired test by the share of the labels in it."""
CHANGES = ("changed", "won", "lost", "both wrong", "both right", "all")


@dataclass(frozen=True)
class Choice:
    """A model to compare: a version, or a model that was evaluated beside it."""

    title: str
    version: ModelVersion
    model: str

    def __hash__(self) -> int:
        """Hash by the version's files: its tags are a dictionary."""
        return hash((self.version.model_id, self.model))


@dataclass(frozen=True)
class RecordedEvaluation:
    """A model's evaluation as MLflow recorded it; `metrics` has the content of `metrics.json`.

    `predictions` are those of the balanced reviews, `stratified` those of all, with the answers of `rule`.
    """

    choice: Choice
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    slices: pd.DataFrame
    stratified: pd.DataFrame
    rule: DecisionRule

    @property
    def labels(self) -> list[str]:
        """Return the labels in the order of the class index."""
        return labels_of(self.predictions)


def choices(registry: Registry) -> dict[str, Choice]:
    """Return the models that can be compared, by title; the versions come first."""
    tuned = [Choice(title_of(version), version, TUNED) for version in registry.versions]
    others = [
        Choice(_title_beside(version, model), version, model)
        for version in registry.versions
        for model in version.compared_models
    ]
    return {choice.title: choice for choice in [*tuned, *others]}


def default_choices(registry: Registry) -> tuple[str, str]:
    """Return the titles of what the newest version is compared with, and of that version.

    That is the champion, or without another one the untuned model, or if its evaluation was skipped the
    first arm.
    """
    newest, champion = registry.versions[0], registry.champion
    if champion is not None and champion.version != newest.version:
        return title_of(champion), title_of(newest)
    beside = newest.compared_models
    if not beside:
        return title_of(newest), title_of(newest)
    return _title_beside(newest, BASELINE if BASELINE in beside else beside[0]), title_of(newest)


def _title_beside(version: ModelVersion, model: str) -> str:
    return f"{model_title(model)} beside version {version.version}"


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
        evidence.metrics_of(version, model),
        evidence.predictions_of(version, model),
        evidence.slices_of(version, model),
        evidence.stratified_of(version, model),
        evidence.rule_of(version, model),
    )


@lru_cache(CACHE_SIZE)
def recorded_answers(first: Choice, second: Choice) -> pd.DataFrame:
    """Read both models' answers with the texts of the reviews.

    Raises:
        DataError: one has no evaluation.
    """
    from review_sentiment.tracking import evidence

    reviews = evidence.reviews_of(second.version)
    return answers_table(read_evaluation(first), read_evaluation(second), reviews)


def figure_rows(pair: Sequence[RecordedEvaluation]) -> list[list[str]]:
    """Return a row per metric on balanced reviews, with each model's value and interval."""
    rows = [
        [title, *(with_interval(recorded.metrics, name) for recorded in pair)]
        for name, title in SHOWN_FIGURES.items()
        if any(recorded.metrics.get(name) is not None for recorded in pair)
    ]
    return [*rows, ["reviews", *(f"{recorded.metrics['n']:.0f}" for recorded in pair)]]


@lru_cache(CACHE_SIZE)
def natural_comparison(first: Choice, second: Choice) -> NaturalComparison:
    """Compare the second with the first as production sees them, each by its own decision rule.

    Raises:
        DataError: they share no review.
        TrackingError: the answers or the rule of one are gone.
    """
    from review_sentiment.registry import version_comparison

    return version_comparison.natural_comparison(first.version, second.version, (first.model, second.model))


@lru_cache(CACHE_SIZE)
def paired_test(first: Choice, second: Choice) -> Comparison:
    """Compare the second with the first by McNemar's test, on the balanced reviews that both answered.

    Raises:
        DataError: they share no review, or one has no evaluation.
    """
    return compare_evaluations(read_evaluation(first), read_evaluation(second))


def compare_evaluations(first: RecordedEvaluation, second: RecordedEvaluation) -> Comparison:
    """Compare the second evaluation with the first, on balanced reviews.

    Raises:
        DataError: they share no review.
    """
    return compare_models(second.predictions, first.predictions, first.choice.title)


def paired_test_text(found: Comparison, first: str, second: str, share: str) -> str:
    """Return the paired test in a sentence; `share` is one of `RULES`."""
    overall = found.overall
    verdict = "a difference beyond chance" if overall.significant else "no difference beyond chance"
    return (
        f"{second} against {first}: accuracy {overall} ({TESTS[share]}; {verdict}). "
        f"{overall.only_candidate} reviews won, {overall.only_other} lost. {RULES[share]}"
    )


def confusion_counts(recorded: RecordedEvaluation) -> tuple[list[list[int]], list[str], list[str]]:
    """Return counts, gold labels and answers; unparsed answers have a column only if there are any."""
    counts = [list(row) for row in recorded.metrics["confusion"]]
    labels = [str(label) for label in recorded.metrics["labels"]]
    if any(row[-1] for row in counts):
        return counts, labels, [*labels, UNPARSED]
    return [row[:-1] for row in counts], labels, labels


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


def label_rows(figures: Sequence[NaturalMetrics]) -> list[tuple[str, ...]]:
    """Return a row per label: its share, and each model's precision and recall in production."""
    share = figures[-1].share
    return [
        (
            label,
            f"{share[label]:.1%}",
            *(one.shown(name, label) for name in ("precision", "recall") for one in figures),
        )
        for label in share
    ]


def slice_line(recorded: RecordedEvaluation, dimension: str) -> Line:
    """Return the accuracies of a dimension's slices, with their intervals."""
    if recorded.slices.empty:
        return Line(recorded.choice.title, [], [])
    rows = recorded.slices[recorded.slices["dimension"] == dimension]
    if dimension == "length":
        rows = rows.set_index("value").reindex(LENGTH_QUARTERS).dropna().reset_index()
    return Line(
        recorded.choice.title,
        list(rows["value"].astype(str)),
        *(list(rows[column]) for column in ("accuracy", "low", "high")),
    )


def dimensions(pair: Sequence[RecordedEvaluation]) -> list[str]:
    """Return the dimensions of the models' slices in order."""
    found = [name for one in pair if not one.slices.empty for name in one.slices["dimension"]]
    return list(dict.fromkeys(found))


def answers_table(
    first: RecordedEvaluation, second: RecordedEvaluation, reviews: pd.DataFrame
) -> pd.DataFrame:
    """Return both models' answers, by their decision rules, to each review that both answered.

    Changed answers come first: `change` is won, lost, both right or both wrong. `p first` and `p second` are
    the probabilities of the gold label in production.
    """
    both = paired_answers(first.stratified, second.stratified, "decided")
    texts = (reviews["title"].fillna("") + ". " + reviews["text"].fillna("")).str.strip(". ")
    columns = {
        "review": dict(zip(reviews["review_id"], texts, strict=True)),
        "p first": _gold_probabilities(first),
        "p second": _gold_probabilities(second),
    }
    for name, values in columns.items():
        both[name] = both["review_id"].map(values)
    shown = ["change", "review", "gold", "first", "second", "p first", "p second", "category"]
    ordered = both.sort_values(["change", "p second"], kind="stable").astype({"change": str})
    return ordered[shown].fillna({"review": ""}).round({"p first": 3, "p second": 3}).reset_index(drop=True)


def only(table: pd.DataFrame, change: str) -> pd.DataFrame:
    """Return the rows with one of `CHANGES`."""
    if change == "all":
        return table
    wanted = {"won", "lost"} if change == "changed" else {change}
    return table[table["change"].isin(wanted)].reset_index(drop=True)


def setting_rows(first: ModelVersion, second: ModelVersion) -> list[tuple[str, str, str]]:
    """Return the settings that differ between two versions."""
    from review_sentiment.registry.version_comparison import different_settings

    return [(key, *values) for key, values in different_settings(first, second).items()]


def _gold_probabilities(recorded: RecordedEvaluation) -> dict[str, float]:
    """Return the probability of the gold label in production, by review id."""
    frame = recorded.stratified
    answers = answers_of(frame, recorded.rule.labels)
    found = recorded.rule.probabilities(answers.log_probs)[range(len(frame)), answers.gold]
    return dict(zip(frame["review_id"], found, strict=True))


def _of_label(recorded: RecordedEvaluation, label: str) -> tuple[Any, Any]:
    """Return whether each review has a label, and the label's predicted probability."""
    answers = answers_of(recorded.predictions, recorded.labels)
    number = recorded.labels.index(label)
    return answers.gold == number, answers.probabilities[:, number]


def with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """Return a figure of `metrics.json` with its interval."""
    if metrics.get(name) is None:
        return "-"
    interval = metrics.get("intervals", {}).get(name)
    return f"{metrics[name]:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
