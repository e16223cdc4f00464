"""Find which labels stay possible for a review, so that the right one is nearly always among them.

An unsure review of three or more labels is often one of two. Its prediction set has the labels whose
probability reaches a threshold: the smallest sets on average for a given coverage (M. Sadinle, J. Lei and L.
Wasserman, "Least Ambiguous Set-Valued Classifiers", JASA 114, 2019). Split conformal prediction takes the
threshold from a quantile of unweighted scores, and promises coverage on average over validation sets; here it
is proved for this one, at the natural shares, as the other guarantees are (`guarantee.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.bounds import Figure
from review_sentiment.decision.guarantee import RiskLimit, Trial, UnreachedError, last_proved, refusal
from review_sentiment.decision.rule import possible_labels
from review_sentiment.decision.threshold import THRESHOLDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.labelled_scores import LabelledScores
    from review_sentiment.decision.rule import DecisionRule

EVERY_LABEL = 0.0
"""The threshold that all probabilities reach: the set of all labels always has the right one."""


def fit_prediction_sets(
    scores: LabelledScores,
    probabilities: npt.NDArray[np.float64],
    rule: DecisionRule,
    limit: RiskLimit,
) -> float:
    """Return the highest threshold whose sets keep the limit of reviews whose right label they miss.

    `probabilities` [n, c] are the rule's for the validation reviews.

    Raises:
        DataError: there are too few reviews to prove it even for sets of all labels.
    """
    answers, rows = rule.answers(probabilities), np.arange(len(probabilities))
    tried = np.append(EVERY_LABEL, THRESHOLDS)
    covered = [possible_labels(probabilities, answers, at)[rows, scores.gold] for at in tried]
    is_covered = np.broadcast_to([False, True], (scores.classes, 2))
    trial = Trial(
        outcomes=np.array(covered, dtype=np.int64),
        outcomes_n=2,
        figure=Figure(is_covered, ~is_covered),
        prior=np.array(rule.prior),
        target=1 - limit.risk,
        confidence=limit.confidence,
        reviews=limit.reviews,
    )
    try:
        # Sets of all labels are the easiest to prove anything of.
        return float(tried[last_proved(trial, scores, start=0)])
    except UnreachedError as unreached:
        reachable = (
            "Even sets of all labels cannot reach it. "
            f"Set decision.abstain.risk to {unreached.smallest_risk:g} or more."
        )
        raise refusal(
            f"decision.abstain.risk={limit.risk:g}", reachable, unreached, scores, rule.labels
        ) from None
