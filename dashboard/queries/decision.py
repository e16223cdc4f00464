"""What a version's decision rule does in production, from the evidence kept with the version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dashboard.figures import Line
from dashboard.queries.comparison import Choice, read_evaluation
from review_sentiment.evaluation.decision_curves import DecidedReviews, decided_reviews
from review_sentiment.evaluation.predictions import answers_of
from review_sentiment.names import in_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.decision_curves import ThresholdCounts
    from review_sentiment.evaluation.natural import NaturalMetrics

CACHE_SIZE = 8
MISTAKES_SHOWN = 50
THOUSAND = 1_000
"""Reviews of production that the counts are scaled to."""
LEAST_COVERAGE = 0.5
"""A smaller part of the reviews has too few wrong answers to draw."""
BALANCED_FIGURES = {
    "accuracy": "accuracy",
    "constrained accuracy": "constrained_accuracy",
    "macro-F1": "f1",
    "ROC AUC": "roc_auc",
    "Brier score": "brier",
    "calibration error": "calibration_error",
    "unparsed answers": "unparsed_rate",
    "quadratic kappa": "quadratic_kappa",
    "mean absolute error": "mean_absolute_error",
}
"""Titles of figures, as `NaturalMetrics` has them too, and their names in `metrics.json`."""


@dataclass(frozen=True)
class RecordedDecision:
    """A version's number and rule, its evaluation reviews under the rule, and its figures at both shares.

    `metrics` are those of the balanced reviews, as in `metrics.json`.
    """

    version: str
    rule: DecisionRule
    reviews: DecidedReviews
    natural: NaturalMetrics
    metrics: Mapping[str, Any]


@lru_cache(CACHE_SIZE)
def read_decision(choice: Choice) -> RecordedDecision:
    """Read a version's rule and evaluation, which never change.

    Raises:
        TrackingError: its evidence is gone.
    """
    from review_sentiment.tracking import evidence

    recorded = read_evaluation(choice)
    return RecordedDecision(
        version=choice.version.version,
        rule=recorded.rule,
        reviews=decided_reviews(recorded.stratified, recorded.rule),
        natural=evidence.natural_of(choice.version, choice.model),
        metrics=evidence.metrics_of(choice.version, choice.model),
    )


def figure_rows(found: RecordedDecision) -> list[tuple[str, str, str]]:
    """Return the figures of a version as in production, and on balanced reviews."""
    natural, metrics, label = found.natural, found.metrics, found.natural.rarest
    named = in_sentence(label)
    balanced = balanced_figures(metrics)
    number = list(metrics["labels"]).index(label)
    hits, of_label = metrics["confusion"][number][number], sum(metrics["confusion"][number])
    called = sum(row[number] for row in metrics["confusion"])
    balanced[f"precision of {named}"] = f"{hits / called:.3f}" if called else "-"
    balanced[f"recall of {named}"] = f"{hits / of_label:.3f}"
    rows = [
        (title, natural.shown(*figure), balanced.get(title, "-")) for title, figure in natural.rows().items()
    ]
    return [
        *rows,
        ("ROC AUC", "-", balanced["ROC AUC"]),
        ("reviews", f"{natural.n:,}", f"{metrics['n']:,.0f}"),
    ]


def effect_rows(reviews: DecidedReviews, thresholds: list[float]) -> list[tuple[str, ...]]:
    """Return what each threshold makes of a thousand reviews of production."""
    counts = [reviews.counts(at, THOUSAND) for at in thresholds]
    label = in_sentence(reviews.label)
    shown: dict[str, Callable[[ThresholdCounts], str]] = {
        f"{label} reviews": lambda one: f"{one.of_label:,}",
        f"called {label}": lambda one: f"{one.called:,}",
        "… and right": lambda one: f"{one.right:,}",
        "… and wrong": lambda one: f"{one.wrong:,}",
        f"{label}, but missed": lambda one: f"{one.missed:,}",
        f"precision of {label}": lambda one: f"{one.precision:.3f}" if one.called else "-",
        f"recall of {label}": lambda one: f"{one.recall:.3f}",
    }
    return [(title, *map(show, counts)) for title, show in shown.items()]


def reliability_lines(reviews: DecidedReviews) -> list[Line]:
    """Return the label's frequency over its probability, before and after the rule's calibration."""
    curves = {"by the model": reviews.before, "by the rule": reviews.p}
    return [Line(name, *(one.tolist() for one in reviews.reliability(p))) for name, p in curves.items()]


def threshold_lines(reviews: DecidedReviews) -> list[Line]:
    """Return precision, recall and cost over the threshold, and the rule's threshold."""
    effects = reviews.effects()
    x = effects.thresholds.tolist()
    curves = {
        "precision": effects.precision,
        "recall": effects.recall,
        "cost (1 if never answered)": effects.relative_cost(reviews.cost_of_wrong),
    }
    shown = [Line(name, x, values.tolist()) for name, values in curves.items()]
    own = reviews.own_threshold
    return shown if own is None else [*shown, Line(f"the rule: {own:.2f}", [own, own], [0, 1])]


def risk_lines(found: RecordedDecision) -> list[Line]:
    """Return the fraction of wrong answers over the fraction of reviews that are answered."""
    reviews, band = found.reviews, found.rule.band
    coverage, risk = reviews.risk()
    covered = coverage >= LEAST_COVERAGE
    shown = [Line("risk", coverage[covered].tolist(), risk[covered].tolist())]
    if band is not None:
        kept = found.natural.coverage
        shown.append(Line(f"the rule answers {kept:.1%}", [kept, kept], [0, float(risk[-1])]))
        shown.append(Line(f"requested: {band.risk:g}", [LEAST_COVERAGE, 1.0], [band.risk, band.risk]))
    return shown


def balanced_figures(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the `BALANCED_FIGURES` of a `metrics.json` with their intervals, "-" for those that it lacks."""
    shown = dict.fromkeys(BALANCED_FIGURES, "-")
    for title, name in BALANCED_FIGURES.items():
        if (value := metrics.get(name)) is not None:
            ends = metrics["intervals"].get(name)
            shown[title] = f"{value:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")
    return shown


def label_rows(figures: NaturalMetrics) -> list[tuple[str, ...]]:
    """Return a row per label: its share, and its precision and recall in production."""
    shown = ((label, f"{share:.1%}") for label, share in figures.share.items())
    return [(*row, *(figures.shown(name, row[0]) for name in ("precision", "recall"))) for row in shown]


def text_of(reviews: pd.DataFrame, review_id: str) -> str:
    """Return a review's title and text from a table by id, or nothing if the table does not have it."""
    if review_id not in reviews.index:
        return ""
    review = reviews.loc[review_id].fillna("").to_dict()
    return ". ".join(filter(None, (review["title"], review["text"])))


def confident_mistakes(choice: Choice) -> tuple[list[tuple[str, ...]], int, int]:
    """Return the most confident wrong answers of the rule, how many are wrong, and of how many.

    Raises:
        TrackingError: the version's evidence is gone.
    """
    from review_sentiment.tracking import evidence

    recorded = read_evaluation(choice)
    table, rule = recorded.stratified, recorded.rule
    reviews = evidence.reviews_of(choice.version).set_index("review_id")
    p = rule.probabilities(answers_of(table, rule.labels).log_probs).max(axis=1)
    wrong = table.assign(p=p)[table["decided"] != table["gold"]].sort_values("p", ascending=False)
    rows: list[tuple[str, ...]] = []
    for row in wrong.head(MISTAKES_SHOWN).to_dict("records"):
        text = text_of(reviews, row["review_id"])
        rows.append((text, str(row["gold"]), str(row["decided"]), f"{row['p']:.1%}", str(row["category"])))
    return rows, len(wrong), len(table)
