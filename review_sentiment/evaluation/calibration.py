"""Calibrate a model's probabilities with a temperature, and choose a threshold.

Both are fitted on validation reviews, never on those that the model is evaluated on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.evaluation.intervals import TWO_CLASSES, figures
from review_sentiment.scoring.answers import Answers

if TYPE_CHECKING:
    import numpy.typing as npt

SMALLEST = 1e-12
"""Smaller probabilities are clipped before taking the logarithm."""
LOG_TEMPERATURES = (-3.0, 3.0)
THRESHOLDS = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class Calibration:
    """A temperature and a threshold, fitted on n validation reviews.

    Calibrated probabilities are proportional to p^(1/temperature) (C. Guo et al., arXiv 1706.04599). With two
    classes, the second is answered if its calibrated probability reaches `threshold`, which gave the best
    macro-F1. With more classes, `threshold` is None.
    """

    n: int
    temperature: float
    threshold: float | None

    def apply(self, answers: Answers) -> Answers:
        """Return the answers with calibrated probabilities, and the labels that follow from them."""
        p = calibrated(answers.probabilities, self.temperature)
        answered = p.argmax(-1) if self.threshold is None else (p[:, 1] >= self.threshold).astype(np.int64)
        return Answers(answers.gold, answered, p)


def fit_calibration(validation: Answers) -> Calibration:
    """Find the temperature with the smallest log loss, then the threshold with the best macro-F1."""
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(validation.gold))

    def log_loss(log_temperature: float) -> float:
        p = calibrated(validation.probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(p[rows, validation.gold], SMALLEST)).mean())

    temperature = float(np.exp(minimize_scalar(log_loss, bounds=LOG_TEMPERATURES, method="bounded").x))
    threshold = None
    if validation.classes == TWO_CLASSES:
        threshold = _best_threshold(validation, calibrated(validation.probabilities, temperature))
    return Calibration(len(rows), temperature, threshold)


def calibrated(probabilities: npt.NDArray[np.float64], temperature: float) -> npt.NDArray[np.float64]:
    """Return probabilities [n, classes] at a temperature; above 1 lowers the confidence."""
    logs = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _best_threshold(validation: Answers, p: npt.NDArray[np.float64]) -> float:
    """Return the median of the thresholds with the best macro-F1, since the ends of the range are chance."""
    f1 = np.array(
        [
            figures(Answers(validation.gold, (p[:, 1] >= threshold).astype(np.int64), p))["f1"]
            for threshold in THRESHOLDS
        ]
    )
    return float(np.median(THRESHOLDS[f1 == f1.max()]))
