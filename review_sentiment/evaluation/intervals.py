"""How sure a figure is: bootstrap intervals over the evaluation reviews.

Reviews are drawn with replacement and every figure computed again from the draw
(B. Efron, "Bootstrap Methods", 1979); the interval has the middle 95 % of the results. It tells what
other reviews of the same kind would have given, not what another training would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.scoring.answers import Answers

CONFIDENCE = 0.95
RESAMPLES = 2_000
BOOTSTRAP_SEED = 0
DRAWS_AT_A_TIME = 100
"""Resamples that are held in memory together."""
CALIBRATION_BINS = 15
"""Of equal width, as in C. Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599."""

TWO_CLASSES = 2

Interval = tuple[float, float]
Figure = Any
"""A number, or an array of one number a draw."""


def figures(answers: Answers, counts: npt.NDArray[np.float64] | None = None) -> dict[str, Figure]:
    """Return each figure of `metrics.Metrics`, of the reviews as they are or of draws with replacement.

    `counts` [..., n] says how often each review is in a draw; the figures then have the draws'
    dimensions. A draw without any review of a class has no ROC AUC: it is NaN.
    """
    gold, answered, p = answers.gold, answers.answered, answers.probabilities
    classes = np.arange(answers.classes)
    drawn = np.ones(len(gold)) if counts is None else counts
    total = drawn.sum(-1)
    one_hot, said = gold[:, None] == classes, answered[:, None] == classes
    true, said_so, are_so = (drawn @ hits.astype(float) for hits in (one_hot & said, said, one_hot))
    # Of two classes each has the same area.
    against_the_rest = classes[1:] if answers.classes == TWO_CLASSES else classes
    return {
        "accuracy": drawn @ (gold == answered) / total,
        "constrained_accuracy": drawn @ (gold == answers.constrained) / total,
        "precision": (true / np.maximum(1, said_so)).mean(-1),
        "recall": (true / np.maximum(1, are_so)).mean(-1),
        "f1": (2 * true / np.maximum(1, said_so + are_so)).mean(-1),
        "roc_auc": np.mean([_roc_auc(one_hot[:, c], p[:, c], drawn) for c in against_the_rest], axis=0),
        "unparsed_rate": drawn @ (answered < 0) / total,
        "brier": drawn @ ((p - one_hot) ** 2).sum(-1) / 2 / total,
        "calibration_error": _calibration_error(p.max(-1), gold == answers.constrained, drawn),
    }


def intervals(answers: Answers) -> Mapping[str, Interval]:
    """Return the interval of each figure."""
    n = len(answers.gold)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    found: dict[str, list[Figure]] = {}
    for start in range(0, RESAMPLES, DRAWS_AT_A_TIME):
        draws = min(DRAWS_AT_A_TIME, RESAMPLES - start)
        places = rng.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
        counts = np.bincount(places.ravel(), minlength=draws * n).reshape(draws, n).astype(float)
        for name, values in figures(answers, counts).items():
            found.setdefault(name, []).append(values)
    ends = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
    return {
        name: (float(low), float(high))
        for name, parts in found.items()
        for low, high in [np.nanpercentile(np.concatenate(parts), ends)]
    }


def _calibration_error(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], drawn: npt.NDArray[np.float64]
) -> Figure:
    """Return the expected calibration error: how far sureness and accuracy lie apart, weighted by reviews."""
    place = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    apart = (confidence - right)[:, None] * (place[:, None] == np.arange(CALIBRATION_BINS))
    return np.abs(drawn @ apart).sum(-1) / drawn.sum(-1)


def _roc_auc(
    positive: npt.NDArray[np.bool_], score: npt.NDArray[np.float64], drawn: npt.NDArray[np.float64]
) -> Figure:
    """Return the share of pairs in which the positive review has the higher score; equal ones count half.

    Mann and Whitney's statistic (1947), from counts in the order of the scores, which are sorted once.
    """
    order = np.argsort(score, kind="stable")
    ordered, positive = score[order], positive[order]
    ones, zeros = drawn[..., order] * positive, drawn[..., order] * ~positive
    up_to = np.concatenate([np.zeros((*zeros.shape[:-1], 1)), zeros.cumsum(-1)], axis=-1)
    below = up_to[..., np.searchsorted(ordered, ordered, side="left")]
    not_above = up_to[..., np.searchsorted(ordered, ordered, side="right")]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ones * (below + not_above) / 2).sum(-1) / (ones.sum(-1) * zeros.sum(-1))
