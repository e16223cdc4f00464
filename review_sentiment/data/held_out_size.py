"""How many held-out reviews of the frequent labels it takes to know a precision in production."""

from __future__ import annotations

from statistics import NormalDist

from review_sentiment.config import MOST_PER_RAREST

PLANNED_PRECISION = PLANNED_RECALL = 0.8
"""Of the rarest label, at its natural share: the default run reaches 0.78 and 0.81."""
CONFIDENCE = 0.95


def others_per_rarest(half_width: float, rarest: int, share: float) -> float:
    """Return how many reviews of other labels to score per review of the rarest label.

    With so many, the 95 % interval of its precision at its natural `share` is expected to reach `half_width`
    to both sides. `rarest` is the number of its reviews.

    Precision P is share * recall / (share * recall + (1 - share) * f), with the rate f of false alarms among
    the other labels' reviews. So the log odds of P are those of two independent rates apart from constants,
    and the variance of a log rate from n reviews is (1 - rate) / (rate * n). Times P (1 - P), the standard
    error of the log odds is that of P (the delta method). f is small, 0.03 at a share of 0.12: it decides.
    """
    precision, recall = PLANNED_PRECISION, PLANNED_RECALL
    false_alarms = share * recall * (1 - precision) / (precision * (1 - share))
    deviations = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    wanted = (half_width / (deviations * precision * (1 - precision))) ** 2
    left = wanted - (1 - recall) / (recall * rarest)
    if left <= 0:  # no number of others makes up for too few reviews of the rarest label
        return MOST_PER_RAREST
    return min(MOST_PER_RAREST, (1 - false_alarms) / false_alarms / left / rarest)
