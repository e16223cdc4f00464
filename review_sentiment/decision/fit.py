"""Fit the decision rule of a version on its validation reviews."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision import bounds
from review_sentiment.decision.abstention import fit_band
from review_sentiment.decision.calibration import FOLDS, fit_calibration
from review_sentiment.decision.guarantee import RiskLimit
from review_sentiment.decision.objective import objective_of
from review_sentiment.decision.rule import DecisionRule, ExpectedFigure
from review_sentiment.decision.threshold import choose_threshold
from review_sentiment.errors import DataError
from review_sentiment.names import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from review_sentiment.config import DecisionSettings
    from review_sentiment.decision.labelled_scores import LabelledScores


def fit_rule(
    scores: LabelledScores, labels: Sequence[str], prior: Sequence[float], settings: DecisionSettings
) -> DecisionRule:
    """Calibrate, then choose the threshold and the band for the settings, at class shares `prior` [c].

    Raises:
        UsageError: a setting names something that is not a label.
        DataError: a label has too few validation reviews, or the objective or the risk cannot be reached.
    """
    objective = objective_of(settings, labels)
    _require_enough(scores, labels)
    shares = np.array(prior, dtype=float) / np.sum(prior)
    rule = DecisionRule(
        labels=tuple(labels),
        prior=tuple(shares.tolist()),
        calibration=fit_calibration(scores),
        objective=objective.text,
        n=tuple(scores.counts.tolist()),
    )
    p = rule.probabilities(scores.log_probs)
    choice = choose_threshold(scores, p, shares, objective, labels)
    rule = replace(rule, threshold=choice.threshold, costs=choice.costs)
    if settings.abstain:
        rule = replace(rule, band=fit_band(scores, p, rule, _risk_limit(settings)))
    return replace(rule, expected=_expected_figures(scores, p, rule))


def _require_enough(scores: LabelledScores, labels: Sequence[str]) -> None:
    few = counted((label, n) for label, n in zip(labels, scores.counts, strict=True) if n < FOLDS)
    if few:
        raise DataError(
            f"The validation set has only {' and '.join(few)} reviews; a decision rule needs at least "
            f"{FOLDS} of each label, and a useful one 100. Raise split.validation_share or "
            "split.validation_per_category, or use categories with more reviews."
        )


def _risk_limit(settings: DecisionSettings) -> RiskLimit:
    abstain = settings.abstain
    reviews = int(abstain["reviews"]) if "reviews" in abstain else None
    return RiskLimit(abstain["risk"], abstain.get("confidence", bounds.CONFIDENCE), reviews)


def _expected_figures(
    scores: LabelledScores, probabilities: npt.NDArray[np.float64], rule: DecisionRule
) -> tuple[ExpectedFigure, ...]:
    """Return accuracy, coverage, precision and recall of answered reviews at the natural share."""
    c, prior = scores.classes, np.array(rule.prior)
    outcomes = c + (rule.band is not None)
    answers = np.where(rule.unsure(probabilities), c, rule.answers(probabilities))
    counts = scores.outcome_counts(answers, outcomes)
    figures = {"accuracy": bounds.accuracy(c, outcomes)}
    if rule.band is not None:
        answered = np.broadcast_to(np.arange(outcomes) < c, (c, outcomes))
        figures["coverage"] = bounds.Figure(answered, ~answered)
    for label, name in enumerate(rule.labels):
        figures[f"precision of {name}"] = bounds.precision(label, c, outcomes)
        figures[f"recall of {name}"] = bounds.recall(label, c, outcomes)
    # A label that is never answered has no precision.
    return tuple(
        ExpectedFigure(name, estimate, *figure.interval(counts, prior))
        for name, figure in figures.items()
        if not np.isnan(estimate := float(figure.estimate(counts, prior)))
    )
