"""Choose the threshold, or the costs, that serve an objective at the natural class shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision import bounds
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.decision.guarantee import Trial, UnreachedError, easiest, last_proved, refusal
from review_sentiment.decision.rule import Threshold, answers_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from review_sentiment.decision.labelled_scores import LabelledScores
    from review_sentiment.decision.objective import Objective

THRESHOLDS = 1 / (1 + np.exp(-np.arange(-6, 6.01, 0.125)))
"""From 0.0025 to 0.9975, an eighth apart in log odds."""
COST_FACTORS = np.exp(np.linspace(-4, 4, 81))
COST_ROUNDS = 3


@dataclass(frozen=True)
class Choice:
    """What decides: a threshold, costs, or neither, which means the likeliest label."""

    threshold: Threshold | None = None
    costs: tuple[float, ...] | None = None


def choose_threshold(
    scores: LabelledScores,
    probabilities: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
    objective: Objective,
    labels: Sequence[str],
) -> Choice:
    """Return what serves the objective best, from calibrated probabilities [n, c] at shares `prior` [c].

    `accuracy` needs nothing: with calibrated probabilities the likeliest label is Bayes' decision. So do
    costs, which weigh the probabilities. `macro_f1` maximises its expectation under the probabilities.
    `precision` and `recall` take the threshold with the best other figure of those that are proved to reach
    the target.

    Raises:
        DataError: no threshold is proved to reach the target.
    """
    if objective.kind == "accuracy":
        return Choice()
    if objective.kind == "cost":
        return _of_costs(np.array(objective.costs))
    if objective.kind == "macro_f1":
        weights = scores.within_label * prior[scores.gold]
        return _of_costs(_macro_f1_costs(weights[:, None] * probabilities, probabilities))
    return Choice(_proved_threshold(scores, probabilities, prior, objective, labels))


def _of_costs(costs: npt.NDArray[np.float64]) -> Choice:
    """Return the choice with the lowest expected cost.

    Answering label k costs (1 - p_k) * cost_k on average. With two classes, the first is cheaper from
    p = cost_0 / (cost_0 + cost_1) on (C. Elkan, "The Foundations of Cost-Sensitive Learning", 2001).
    """
    if len(costs) == TWO_CLASSES:
        return Choice(Threshold(0, float(costs[0] / costs.sum())))
    return Choice(costs=tuple(costs.tolist()))


def _macro_f1_costs(
    mass: npt.NDArray[np.float64], probabilities: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the costs [c] with the best expected macro-F1; `mass` [n, c] is weight times probability.

    Counts of gold labels vary more than their expectations: their best threshold depends on single reviews.
    One cost after another is varied: macro-F1 is not a sum over reviews, so Bayes' rule gives no formula.
    """
    costs = np.ones(mass.shape[1])
    best = _expected_macro_f1(mass, ((1 - probabilities) * costs).argmin(-1))
    for _ in range(COST_ROUNDS):
        for label in range(len(costs)):
            tried = costs[label] * COST_FACTORS
            answers = _answers_by_cost(probabilities, costs, label, tried)
            values = np.array([_expected_macro_f1(mass, answered) for answered in answers])
            if values.max() > best:
                # The middle of the best range: its ends depend on single reviews.
                highest = np.flatnonzero(values == values.max())
                best, costs[label] = float(values.max()), tried[highest[len(highest) // 2]]
    return costs


def _answers_by_cost(
    probabilities: npt.NDArray[np.float64],
    costs: npt.NDArray[np.float64],
    label: int,
    tried: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Return the answers [t, n] for t costs of a label, which competes with the cheapest other label."""
    expected = (1 - probabilities) * costs
    expected[:, label] = np.inf
    other = expected.argmin(-1)
    least, own = expected.min(-1), (1 - probabilities[:, label]) * tried[:, None]
    return np.where((own < least) | ((own == least) & (label < other)), label, other)


def _expected_macro_f1(mass: npt.NDArray[np.float64], answered: npt.NDArray[np.int64]) -> float:
    n, classes = mass.shape
    hits = np.bincount(answered, mass[np.arange(n), answered], classes)
    called = np.bincount(answered, mass.sum(1), classes)
    return float((2 * hits / (called + mass.sum(0))).mean())


def _proved_threshold(
    scores: LabelledScores,
    probabilities: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
    objective: Objective,
    labels: Sequence[str],
) -> Threshold:
    classes = scores.classes
    for_precision = objective.kind == "precision"
    # A lower threshold has more recall, a higher one more precision: try towards what is not the target.
    tried = THRESHOLDS[::-1] if for_precision else THRESHOLDS
    of = bounds.precision if for_precision else bounds.recall
    outcomes = np.stack([answers_at(probabilities, objective.label, at) for at in tried])
    figure = of(objective.label, classes, classes)
    trial = Trial(outcomes, classes, figure, prior, objective.target, objective.confidence)
    try:
        at = tried[last_proved(trial, scores, easiest(trial, scores, probabilities))]
    except UnreachedError as unreached:
        name, label = objective.kind, labels[objective.label]
        reachable = (
            f"The best threshold has a {name} of {unreached.estimate:.3f}, and at least "
            f"{unreached.bound:.3f} with {objective.confidence:.0%} confidence. "
            f"Set decision.{name}.{label} to {_rounded_down(unreached.bound):g} or less."
        )
        raise refusal(
            f"decision.{name}.{label}={objective.target:g}", reachable, unreached, scores, labels
        ) from None
    return Threshold(objective.label, float(at), keeps_recall=not for_precision)


def _rounded_down(value: float) -> float:
    return math.floor(value * 100) / 100
