"""Bootstrap intervals of the metrics over the evaluation reviews.

Reviews are drawn with replacement, and every metric is computed again from each draw (B. Efron, "Bootstrap
Methods", 1979); the interval contains the middle 95 % of the results. It shows how the metrics vary between
samples of reviews, not between trainings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.decision.bounds import CONFIDENCE
from review_sentiment.decision.calibration import TWO_CLASSES

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.scoring.answers import Answers

PERCENTILES = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
RESAMPLES = 2_000
BOOTSTRAP_SEED = 0
DRAWS_AT_A_TIME = 100
"""Resamples that are in memory at the same time."""
CALIBRATION_BINS = 15
"""Of equal width, as in C. Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599."""
RELIABILITY_BINS = 10
"""Points of a drawn reliability curve."""

Interval = tuple[float, float]
Figure = Any
"""A number, or an array with one number per draw."""


def figures(
    answers: Answers,
    places: Sequence[int] | None = None,
    counts: npt.NDArray[np.float64] | None = None,
) -> dict[str, Figure]:
    """Return each metric of `metrics.Metrics`, for the reviews as they are or for draws with replacement.

    `places` [c] are those of the labels on a scale, if there is one. `counts` [..., n] is how often each
    review is in a draw; the metrics then have the draws' dimensions. The ROC AUC of a draw without any review
    of a class is NaN.
    """
    gold, answered, p = answers.gold, answers.answered, answers.probabilities
    classes = np.arange(answers.classes)
    drawn = np.ones(len(gold)) if counts is None else counts
    total = drawn.sum(-1)
    is_gold, is_answer = gold[:, None] == classes, answered[:, None] == classes
    hits, answers_n, gold_n = (drawn @ one.astype(float) for one in (is_gold & is_answer, is_answer, is_gold))
    # With two classes, both have the same area.
    against_the_rest = classes[1:] if answers.classes == TWO_CLASSES else classes
    return {
        "accuracy": drawn @ (gold == answered) / total,
        "constrained_accuracy": drawn @ (gold == answers.constrained) / total,
        "precision": (hits / np.maximum(1, answers_n)).mean(-1),
        "recall": (hits / np.maximum(1, gold_n)).mean(-1),
        "f1": (2 * hits / np.maximum(1, answers_n + gold_n)).mean(-1),
        "roc_auc": np.mean([_roc_auc(is_gold[:, c], p[:, c], drawn) for c in against_the_rest], axis=0),
        "unparsed_rate": drawn @ (answered < 0) / total,
        "brier": drawn @ ((p - is_gold) ** 2).sum(-1) / 2 / total,
        "calibration_error": _calibration_error(p.max(-1), gold == answers.constrained, drawn),
        **({} if places is None else _on_scale(answers, places, drawn)),
    }


def intervals(answers: Answers, places: Sequence[int] | None = None) -> Mapping[str, Interval]:
    """Return the interval of each metric; `places` [c] are those of the labels on a scale."""
    n = len(answers.gold)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    found: dict[str, list[Figure]] = {}
    for _ in range(RESAMPLES // DRAWS_AT_A_TIME):
        for name, values in figures(answers, places, drawn_counts(rng, n)).items():
            found.setdefault(name, []).append(values)
    return {
        name: (float(low), float(high))
        for name, parts in found.items()
        for low, high in [np.nanpercentile(np.concatenate(parts), PERCENTILES)]
    }


def _on_scale(answers: Answers, places: Sequence[int], drawn: npt.NDArray[np.float64]) -> dict[str, Figure]:
    cells = answers.gold * answers.classes + answers.constrained
    one_hot = cells[:, None] == np.arange(answers.classes**2)
    confusion = (drawn @ one_hot.astype(float)).reshape(*drawn.shape[:-1], answers.classes, -1)
    return scale_figures(confusion / drawn.sum(-1)[..., None, None], places)


def scale_figures(confusion: npt.NDArray[np.float64], places: Sequence[int]) -> dict[str, Figure]:
    """Return the figures of labels on a scale from fractions [..., c, c] by gold label and answer.

    The kappa is 1 minus the mean squared distance of the answers, divided by that of answers with the same
    shares that are drawn at random (J. Cohen, "Weighted kappa", 1968).
    """
    apart = np.abs(np.subtract.outer(places, places))
    by_chance = confusion.sum(-1)[..., :, None] * confusion.sum(-2)[..., None, :]
    squared, chance = ((apart**2 * cells).sum((-2, -1)) for cells in (confusion, by_chance))
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = (1 - squared / chance).round(12) + 0.0  # not -0.000 if all answers are the same
    return {"quadratic_kappa": kappa, "mean_absolute_error": (apart * confusion).sum((-2, -1))}


def drawn_counts(rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    """Return how often each of n reviews is in each of `DRAWS_AT_A_TIME` draws with replacement [draws, n].

    Counting drawn rows is ten times as fast as a multinomial draw, which draws a number for each.
    """
    places = rng.integers(n, size=(DRAWS_AT_A_TIME, n)) + n * np.arange(DRAWS_AT_A_TIME)[:, None]
    return np.bincount(places.ravel(), minlength=places.size).reshape(places.shape).astype(float)


def _calibration_error(
    confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], drawn: npt.NDArray[np.float64]
) -> Figure:
    """Return the expected calibration error: |confidence - accuracy| of the bins, weighted by reviews."""
    place = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    apart = (confidence - right)[:, None] * (place[:, None] == np.arange(CALIBRATION_BINS))
    return np.abs(drawn @ apart).sum(-1) / drawn.sum(-1)


def _roc_auc(
    positive: npt.NDArray[np.bool_], score: npt.NDArray[np.float64], drawn: npt.NDArray[np.float64]
) -> Figure:
    """Return the fraction of pairs in which the positive review has the higher score; ties count half.

    This is the statistic of Mann and Whitney (1947). scikit-learn would sort the scores again for every draw;
    here they are sorted once, and each draw only counts.
    """
    order = np.argsort(score, kind="stable")
    ordered, positive = score[order], positive[order]
    ones, zeros = drawn[..., order] * positive, drawn[..., order] * ~positive
    up_to = np.concatenate([np.zeros((*zeros.shape[:-1], 1)), zeros.cumsum(-1)], axis=-1)
    below = up_to[..., np.searchsorted(ordered, ordered, side="left")]
    not_above = up_to[..., np.searchsorted(ordered, ordered, side="right")]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ones * (below + not_above) / 2).sum(-1) / (ones.sum(-1) * zeros.sum(-1))
