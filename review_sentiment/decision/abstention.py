"""Find the band of confidence in which a version should not answer.

Not answering below a confidence has the lowest risk for a given coverage if probabilities are calibrated (C.
Chow, IEEE Trans. Information Theory 16, 1970). `guarantee.py` finds the lowest such confidence for which the
risk, that is, the fraction of wrong answers among those given at the natural class shares, is proved to be
small enough.

MAPIE 1.6 controls the same risk (`MultiClassificationLTTController`) for reviews that are drawn as they come.
It has no weights, so with a balanced validation set it would control the risk at a share of one half, which
is another quantity. Its bound of Hoeffding and Bentkus is also for one sample, not for one from each label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision import bounds
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.decision.guarantee import (
    RiskLimit,
    Trial,
    UnreachedError,
    easiest,
    last_proved,
    refusal,
)
from review_sentiment.decision.prediction_sets import fit_prediction_sets
from review_sentiment.decision.rule import Band, DecisionRule
from review_sentiment.decision.threshold import THRESHOLDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.labelled_scores import LabelledScores


def fit_band(
    scores: LabelledScores,
    probabilities: npt.NDArray[np.float64],
    rule: DecisionRule,
    limit: RiskLimit,
) -> Band:
    """Return the narrowest band that keeps the limit among answered reviews.

    `probabilities` [n, c] are the rule's for the validation reviews.

    Raises:
        DataError: no band is proved to reach the risk.
    """
    classes = scores.classes
    answers, sure = rule.answers(probabilities), rule.confidence(probabilities)
    tried = np.append(THRESHOLDS[::-1], 0.0)
    outcomes = np.where(sure >= tried[:, None], answers, classes)
    figure = bounds.accuracy(classes, classes + 1)
    prior = np.array(rule.prior)
    trial = Trial(outcomes, classes + 1, figure, prior, 1 - limit.risk, limit.confidence, limit.reviews)
    try:
        below = tried[last_proved(trial, scores, easiest(trial, scores, probabilities))]
    except UnreachedError as unreached:
        reachable = (
            f"The best band has a risk of {1 - unreached.estimate:.2%}, and at most "
            f"{1 - unreached.bound:.2%} {limit.described}. Set decision.abstain.risk to "
            f"{unreached.smallest_risk:g} or more."
        )
        raise refusal(
            f"decision.abstain.risk={limit.risk:g}", reachable, unreached, scores, rule.labels
        ) from None
    possible_at = None
    if classes > TWO_CLASSES:  # with two labels, an unsure review's set would always be both
        possible_at = fit_prediction_sets(scores, probabilities, rule, limit)
    return Band(float(below), limit.risk, limit.confidence, possible_at, limit.reviews)
