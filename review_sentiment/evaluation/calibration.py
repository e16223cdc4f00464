"""Whether a model's probabilities mean what they say, and what would set them right.

Temperature and threshold are fitted on validation reviews, never on those that a model is evaluated on.
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
"""Probability below which a logarithm is cut off."""
LOG_TEMPERATURES = (-3.0, 3.0)
THRESHOLDS = np.linspace(0.05, 0.95, 91)


@dataclass(frozen=True)
class Calibration:
    """What n validation reviews say of a model.

    Probabilities are set right by `temperature`: they become proportional to p^(1/temperature)
    (C. Guo et al., arXiv 1706.04599). Of two classes the second is answered from `threshold` of its
    calibrated probability on, which gave the best macro-F1; it is None where there are more.
    """

    n: int
    temperature: float
    threshold: float | None

    def apply(self, answers: Answers) -> Answers:
        """Return calibrated probabilities, and the labels that they stand for."""
        p = calibrated(answers.probabilities, self.temperature)
        answered = p.argmax(-1) if self.threshold is None else (p[:, 1] >= self.threshold).astype(np.int64)
        return Answers(answers.gold, answered, p)


def fit_calibration(validation: Answers) -> Calibration:
    """Find the temperature of the smallest log loss, and with it the threshold of the best macro-F1."""
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
    """Return probabilities [n, classes] at a temperature: above 1 they are less sure."""
    logs = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _best_threshold(validation: Answers, p: npt.NDArray[np.float64]) -> float:
    """Return the middle of the thresholds that share the best macro-F1: the ends are chance."""
    f1 = np.array(
        [
            figures(Answers(validation.gold, (p[:, 1] >= threshold).astype(np.int64), p))["f1"]
            for threshold in THRESHOLDS
        ]
    )
    return float(np.median(THRESHOLDS[f1 == f1.max()]))
