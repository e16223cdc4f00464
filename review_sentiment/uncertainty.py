"""How sure a figure is: bootstrap intervals over the evaluation reviews.

Reviews are drawn with replacement and every figure computed again from the draw
(B. Efron, "Bootstrap Methods", 1979); the interval has the middle 95 % of the results. It tells what
other reviews of the same kind would have given, not what another training would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.answers import Answers

CONFIDENCE = 0.95
RESAMPLES = 2_000
BOOTSTRAP_SEED = 0
DRAWS_AT_A_TIME = 100
"""Resamples that are held in memory together."""
CALIBRATION_BINS = 15
"""Of equal width, as in C. Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599."""

Interval = tuple[float, float]


def figures(answers: Answers) -> dict[str, npt.NDArray[np.float64]]:
    """Return each figure of `metrics.Metrics`, for one set of answers or for each of many draws.

    A draw without any review of a class has no ROC AUC: it is NaN.
    """
    gold, answered, p = answers.gold, answers.answered, answers.probabilities
    constrained = answers.constrained
    # Of two classes each has the same area.
    against_the_rest = range(1 if answers.classes == 2 else 0, answers.classes)  # noqa: PLR2004
    one_hot = gold[..., None] == np.arange(answers.classes)
    said = answered[..., None] == np.arange(answers.classes)
    true = (one_hot & said).sum(-2)
    precision = true / np.maximum(1, said.sum(-2))
    recall = true / np.maximum(1, one_hot.sum(-2))
    f1 = 2 * true / np.maximum(1, said.sum(-2) + one_hot.sum(-2))
    return {
        "accuracy": (gold == answered).mean(-1),
        "constrained_accuracy": (gold == constrained).mean(-1),
        "precision": precision.mean(-1),
        "recall": recall.mean(-1),
        "f1": f1.mean(-1),
        "roc_auc": np.mean([_roc_auc(one_hot[..., c], p[..., c]) for c in against_the_rest], axis=0),
        "unparsed_rate": (answered < 0).mean(-1),
        "brier": ((p - one_hot) ** 2).sum(-1).mean(-1) / 2,
        "calibration_error": calibration_error(p.max(-1), gold == constrained),
    }


def intervals(answers: Answers) -> Mapping[str, Interval]:
    """Return the interval of each figure."""
    from scipy.stats import bootstrap

    names = list(figures(answers))

    def statistic(rows: npt.NDArray[np.int64], axis: int) -> npt.NDArray[np.float64]:
        found = figures(answers.draw(np.moveaxis(rows, axis, -1)))
        return np.stack([found[name] for name in names])

    result = bootstrap(
        (np.arange(len(answers.gold)),),
        statistic,
        n_resamples=RESAMPLES,
        batch=DRAWS_AT_A_TIME,
        vectorized=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(BOOTSTRAP_SEED),
    )
    ends = np.nanpercentile(result.bootstrap_distribution, _PERCENTILES, axis=-1)
    return {name: (float(low), float(high)) for name, low, high in zip(names, *ends, strict=True)}


_PERCENTILES = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))


def calibration_error(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the expected calibration error: how far sureness and accuracy lie apart, weighted by reviews.

    Both are [..., n]; the bins have equal width.
    """
    *draws, n = confidence.shape
    place = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    bins = CALIBRATION_BINS * np.arange(math.prod(draws))[:, None] + place.reshape(-1, n)
    apart = np.bincount(bins.ravel(), (confidence - right).ravel(), CALIBRATION_BINS * math.prod(draws))
    return np.asarray(np.abs(apart).reshape(*draws, CALIBRATION_BINS).sum(-1) / n)


def _roc_auc(positive: npt.NDArray[np.bool_], score: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the area by ranks (H. Mann, D. Whitney, 1947), over the last axis."""
    from scipy.stats import rankdata

    ones = positive.sum(-1)
    zeros = positive.shape[-1] - ones
    ranks = np.where(positive, rankdata(score, axis=-1), 0.0).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((ranks - ones * (ones + 1) / 2) / (ones * zeros))
