"""A cascade: a student answers the reviews that it is sure of, its teacher the others.

P. Viola and M. Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", 2001.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.inverse_calibration import inverted

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule

NEVER = 2.0
"""A threshold that no confidence reaches: the teacher answers every review."""
ROUNDING = 1e-12
"""Of a sum of gains and losses."""


def confidence_of(student: DecisionRule, log_probs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how sure a student with scores [n, c] is of its answers [n], by its rule at its class shares."""
    return student.confidence(student.probabilities(log_probs))


def as_of_teacher(
    student: DecisionRule, log_probs: npt.NDArray[np.float64], teacher: DecisionRule
) -> npt.NDArray[np.float64]:
    """Return a student's scores [n, c] on its teacher's scale.

    The teacher's rule makes of them the student's calibrated probabilities.
    """
    return inverted(teacher.calibration, student.calibration.scores(log_probs))


def lowest_threshold(
    confidence: npt.NDArray[np.float64], losses: npt.NDArray[np.float64], max_loss: float
) -> float:
    """Return the lowest confidence with which a student may answer in its teacher's place, or `NEVER`.

    `confidence` [n] is the student's, `losses` [n] what each review adds to the loss of accuracy if the
    student answers it: its share of all reviews if only the teacher is right, minus its share if only the
    student is, otherwise 0. The sum over the reviews that the student answers is at most `max_loss`.
    """
    order = np.argsort(-confidence, kind="stable")
    descending, lost = confidence[order], losses[order].cumsum()
    # Reviews of equal confidence are answered by the same model.
    is_last = np.append(descending[1:] < descending[:-1], True)[: len(order)]
    allowed = descending[is_last & (lost <= max_loss + ROUNDING)]
    return float(allowed[-1]) if len(allowed) else NEVER
