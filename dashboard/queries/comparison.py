"""Two or more models side by side: what was recorded of their evaluations, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from dashboard.queries.versions import Registry, title_of
from dashboard.widgets.figures import Line
from review_sentiment.errors import DataError
from review_sentiment.evaluation.comparison import Comparison, compare_models
from review_sentiment.evaluation.predictions import LENGTH_QUARTERS, UNPARSED, answers_of
from review_sentiment.scoring.answers import labels_of

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

MODELS = ("tuned", "classical", "baseline")
"""Whose answers a candidate's run has."""
SHOWN_FIGURES = {
    "accuracy": "accuracy",
    "constrained_accuracy": "constrained accuracy",
    "f1": "macro-F1",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "unparsed_rate": "unparsed rate",
}
"""Figures and what a page calls them."""
RELIABILITY_BINS = 10
EVALUATIONS_KEPT = 32
PAIRS_KEPT = 32
CHANGES = ("changed", "won", "lost", "both wrong", "both right", "all")


@dataclass(frozen=True)
class Choice:
    """A model that can be compared: of a version's run, its own or one that it was compared with."""

    title: str
    run_id: str
    model: str


@dataclass(frozen=True)
class RecordedEvaluation:
    """What MLflow has of a model's evaluation: `metrics` as `metrics.json` has them."""

    choice: Choice
    metrics: Mapping[str, Any]
    predictions: pd.DataFrame
    slices: pd.DataFrame

    @property
    def labels(self) -> list[str]:
        """Return the labels in the order of the class index."""
        return labels_of(self.predictions)


def choices(registry: Registry) -> dict[str, Choice]:
    """Return the models that can be compared, by their title: the versions first."""
    found = [Choice(title_of(version), version.run_id, "tuned") for version in registry.versions]
    found += [
        Choice(f"{model} beside version {version.version}", version.run_id, model)
        for version in registry.versions
        for model in MODELS[1:]
    ]
    return {choice.title: choice for choice in found}


def default_choices(registry: Registry) -> tuple[str, str]:
    """Return the titles to begin with: the newest version, against the champion or its untuned model."""
    newest = registry.versions[0]
    champion = registry.champion
    if champion is not None and champion.version != newest.version:
        return title_of(champion), title_of(newest)
    return f"baseline beside version {newest.version}", title_of(newest)


@lru_cache(EVALUATIONS_KEPT)
def read_evaluation(choice: Choice) -> RecordedEvaluation:
    """Read a model's evaluation; it stays as it is once it is there, so that it is read once.

    Raises:
        DataError: the run does not have it.
    """
    from review_sentiment.tracking import recorded_runs
    from review_sentiment.tracking.recorded_runs import recorded_json

    metrics = recorded_json(choice.run_id, f"{choice.model}/metrics.json")
    predictions = recorded_runs.recorded_predictions(choice.run_id, choice.model)
    if metrics is None or predictions is None:
        raise DataError(
            f"The run of {choice.title} has no evaluation of its {choice.model} model: it was left out "
            "(evaluation.skip_baseline), or the run did not get so far."
        )
    return RecordedEvaluation(
        choice, metrics, predictions, recorded_runs.recorded_slices(choice.run_id, choice.model)
    )


@lru_cache(PAIRS_KEPT)
def recorded_answers(first: Choice, second: Choice) -> pd.DataFrame:
    """Read both models' answers with the texts of the second one's reviews; once, as they stay.

    Raises:
        DataError: one has no evaluation.
    """
    from review_sentiment.tracking import recorded_runs

    reviews = recorded_runs.recorded_reviews(second.run_id)
    return answers_table(read_evaluation(first), read_evaluation(second), reviews)


def figure_rows(shown: Sequence[RecordedEvaluation]) -> list[list[str]]:
    """Return a row a figure, with its interval for each model."""
    rows = []
    for name, title in SHOWN_FIGURES.items():
        cells = [_with_interval(recorded.metrics, name) for recorded in shown]
        rows.append([title, *cells])
    return [*rows, ["reviews", *(f"{recorded.metrics['n']:.0f}" for recorded in shown)]]


@lru_cache(PAIRS_KEPT)
def paired_test(first: Choice, second: Choice) -> Comparison:
    """Compare the second with the first by McNemar's test, on the reviews that both answered.

    Computed once: statsmodels (0.14.6) collects the whole process's garbage with every correction, 0.3 s.

    Raises:
        DataError: they share no review, or one has no evaluation.
    """
    return compare_evaluations(read_evaluation(first), read_evaluation(second))


def compare_evaluations(first: RecordedEvaluation, second: RecordedEvaluation) -> Comparison:
    """Compare two evaluations that have been read.

    An untuned model is taken by its likeliest label, as in the gate.

    Raises:
        DataError: they share no review.
    """
    answers: Literal["constrained", "predicted"] = (
        "constrained" if first.choice.model == "baseline" else "predicted"
    )
    return compare_models(second.predictions, first.predictions, first.choice.title, answers)


def paired_test_text(found: Comparison, second: str) -> str:
    """Return the paired test in a sentence."""
    overall = found.overall
    verdict = "a difference beyond chance" if overall.significant else "no difference beyond chance"
    return (
        f"{second} against {found.other}: accuracy {overall} (McNemar; {verdict}). "
        f"{overall.only_candidate} reviews won, {overall.only_other} lost."
    )


def confusion_counts(recorded: RecordedEvaluation) -> tuple[list[list[int]], list[str], list[str]]:
    """Return counts, gold labels and answers; the column of unparsed answers only where there are any."""
    counts = [list(row) for row in recorded.metrics["confusion"]]
    labels = [str(label) for label in recorded.metrics["labels"]]
    if not any(row[-1] for row in counts):
        return [row[:-1] for row in counts], labels, labels
    return counts, labels, [*labels, UNPARSED]


def roc_line(recorded: RecordedEvaluation) -> Line:
    """Return false against true positive rate of the last label."""
    from sklearn.metrics import roc_curve

    gold, p = _last_label(recorded)
    false_rate, true_rate, _ = roc_curve(gold, p)
    return Line(recorded.choice.title, list(map(float, false_rate)), list(map(float, true_rate)))


def reliability_line(recorded: RecordedEvaluation) -> Line:
    """Return what was said of the last label against the share that is so, in bins of equal size."""
    from sklearn.calibration import calibration_curve

    gold, p = _last_label(recorded)
    share, said = calibration_curve(gold, p, n_bins=RELIABILITY_BINS, strategy="quantile")
    return Line(recorded.choice.title, list(map(float, said)), list(map(float, share)))


def slice_line(recorded: RecordedEvaluation, dimension: str) -> Line:
    """Return the accuracies of a dimension's slices, with their intervals."""
    rows = recorded.slices
    rows = rows[rows["dimension"] == dimension] if len(rows) else rows
    if not len(rows):
        return Line(recorded.choice.title, [], [], [], [])
    if dimension == "length":
        rows = rows.set_index("value").reindex(LENGTH_QUARTERS).dropna().reset_index()
    return Line(
        recorded.choice.title,
        list(rows["value"].astype(str)),
        list(rows["accuracy"]),
        list(rows["low"]),
        list(rows["high"]),
    )


def dimensions(shown: Sequence[RecordedEvaluation]) -> list[str]:
    """Return the dimensions that the models' slices have, in their order."""
    found = [name for recorded in shown if len(recorded.slices) for name in recorded.slices["dimension"]]
    return list(dict.fromkeys(found))


def answers_table(
    first: RecordedEvaluation, second: RecordedEvaluation, reviews: pd.DataFrame | None
) -> pd.DataFrame:
    """Return both answers to each review that both answered, those that changed first.

    `change` is won, lost, both right or both wrong; `p first` and `p second` are the probabilities of the
    gold label.
    """
    both = _answers(first).merge(
        _answers(second)[["review_id", "answer", "p"]], on="review_id", suffixes=(" first", " second")
    )
    right = [both[f"answer {name}"] == both["gold"] for name in ("first", "second")]
    both["change"] = "both wrong"
    both.loc[right[0] & right[1], "change"] = "both right"
    both.loc[~right[0] & right[1], "change"] = "won"
    both.loc[right[0] & ~right[1], "change"] = "lost"
    both["review"] = ""
    if reviews is not None:
        texts = (reviews["title"].fillna("") + ". " + reviews["text"].fillna("")).str.strip(". ")
        both["review"] = both["review_id"].map(dict(zip(reviews["review_id"], texts, strict=True))).fillna("")
    order = both["change"].map({"lost": 0, "won": 1, "both wrong": 2, "both right": 3})
    both = both.assign(order=order).sort_values(["order", "p second"], kind="stable")
    renamed = both.rename(columns={"answer first": "first", "answer second": "second"})
    columns = ["change", "review", "gold", "first", "second", "p first", "p second", "category"]
    return renamed[columns].round({"p first": 3, "p second": 3}).reset_index(drop=True)


def only(table: pd.DataFrame, change: str) -> pd.DataFrame:
    """Return the rows of one of `CHANGES`."""
    if change == "all":
        return table
    wanted = {"won", "lost"} if change == "changed" else {change}
    return table[table["change"].isin(wanted)].reset_index(drop=True)


def setting_rows(first: ModelVersion | None, second: ModelVersion | None) -> list[tuple[str, str, str]]:
    """Return the recorded parameters that differ between two versions."""
    from review_sentiment.registry.version_comparison import different_settings

    if first is None or second is None:
        return []
    return [(key, *values) for key, values in different_settings(first, second).items()]


def _answers(recorded: RecordedEvaluation) -> pd.DataFrame:
    frame = recorded.predictions
    answer = frame["constrained"] if recorded.choice.model == "baseline" else frame["predicted"]
    labels = recorded.labels
    answers = answers_of(frame, labels)
    p = answers.probabilities[range(len(frame)), answers.gold]
    return frame[["review_id", "category", "gold"]].assign(answer=answer, p=p)


def _last_label(recorded: RecordedEvaluation) -> tuple[Any, Any]:
    """Return which reviews have the last label, and the probabilities that it was given."""
    answers = answers_of(recorded.predictions, recorded.labels)
    last = len(recorded.labels) - 1
    return answers.gold == last, answers.probabilities[:, last]


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    if name not in metrics:
        return "-"
    interval = metrics.get("intervals", {}).get(name)
    return f"{metrics[name]:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")
