"""Express calibrated scores on the scale of a model: its calibration turns them into themselves again.

So what follows a model's scores (class shares, threshold, costs, band) also holds for another model's scores.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.calibration import WIDEST
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.calibration import Calibration

LEAST_SPAN = math.log(10_000)
"""A calibration that makes no label at least 10,000 times as likely as another would change what it gets."""


def span_of(calibration: Calibration) -> float:
    """Return how far apart two labels' calibrated scores can be for `inverted` to be exact.

    A calibration clips log-probabilities at `WIDEST` below the largest. With a slope per label, the label
    with the lowest slope reaches this distance first; different offsets take their part of it.
    """
    return WIDEST * min(calibration.slopes) - _spread(calibration)


def require_invertible(calibration: Calibration, name: str) -> None:
    """Check that `inverted` can express another model's scores on this scale.

    Raises:
        UsageError: a slope of the calibration of the model `name` is too low, or negative.
    """
    if span_of(calibration) < LEAST_SPAN:
        raise UsageError(
            f"The calibration of {name} cannot express the probabilities of a student: its lowest slope is "
            f"{min(calibration.slopes):.3g}, and {(LEAST_SPAN + _spread(calibration)) / WIDEST:.3g} is "
            "needed. Score with this version alone."
        )


def inverted(calibration: Calibration, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log-probabilities [n, c] whose calibrated scores are `scores` [n, c], up to a constant per row.

    A score further than `span_of` below the row's largest is raised to this distance first: it stands for a
    probability below 1e-4 at equal class shares, and a much lower one with usual slopes.
    """
    slopes, offsets = np.array(calibration.slopes), np.array(calibration.offsets)
    raised = np.maximum(scores, scores.max(-1, keepdims=True) - span_of(calibration))
    apart = (raised - offsets) / slopes
    # The one constant per row with which the log-probabilities have a mean of 0, as calibration centres them.
    constant = -apart.mean(-1, keepdims=True) / (1 / slopes).mean()
    return np.asarray(apart + constant / slopes)


def _spread(calibration: Calibration) -> float:
    return max(calibration.offsets) - min(calibration.offsets)
