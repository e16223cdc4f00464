"""Figures at the natural share, as functions of weighted sums over reviews, and draws of them.

A draw only changes how much each review counts, so one matrix product gives the sums of many draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.data.labels import places_on_scale
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.evaluation.intervals import (
    BOOTSTRAP_SEED,
    CALIBRATION_BINS,
    DRAWS_AT_A_TIME,
    RESAMPLES,
    drawn_counts,
    scale_figures,
)
from review_sentiment.evaluation.predictions import answers_of, production_shares

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import pandas as pd

    from review_sentiment.decision.rule import DecisionRule

Figure = Any
"""A number, or an array with one number per draw, or these by label in the last dimension."""


def resampled_figures(
    models: Sequence[tuple[pd.DataFrame, DecisionRule]], shares: tuple[float, ...]
) -> list[tuple[dict[str, Figure], dict[str, Figure]]]:
    """Return each model's figures [1, ...], and those of each draw [draws, ...].

    The tables have the same reviews in the same order; those of the last one count, with their weights.
    """
    reviews, rule = models[-1]
    gold, weights = answers_of(reviews, rule.labels).gold, reviews["weight"].to_numpy()
    production = production_shares(reviews, dict(zip(rule.labels, shares, strict=True)))
    prior = np.array(shares)
    columns = [_columns(table, rule, production) for table, rule in models]
    places = places_on_scale(rule.labels)
    points = [_figures(production[None] @ own, prior, places) for own in columns]
    drawn: list[list[dict[str, Figure]]] = [[] for _ in models]
    for counts in _draws(gold):
        mass = _within_labels(counts, gold, weights, prior)
        for found, own in zip(drawn, columns, strict=True):
            found.append(_figures(mass @ own, prior, places))
    return [
        (point, {name: np.concatenate([one[name] for one in found]) for name in point})
        for point, found in zip(points, drawn, strict=True)
    ]


def _draws(gold: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float64]]:
    """Yield how often each review is in a draw [draws, n]: as many of each label as there are.

    The numbers of a stratified sample's labels are not random, so the draws do not vary them either (B. Efron
    and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).
    """
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    rows = [np.flatnonzero(gold == label) for label in np.unique(gold)]
    for _ in range(RESAMPLES // DRAWS_AT_A_TIME):
        counts = np.zeros((DRAWS_AT_A_TIME, len(gold)))
        for own in rows:
            counts[:, own] = drawn_counts(rng, len(own))
        yield counts


def _within_labels(
    counts: npt.NDArray[np.float64],
    gold: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the share of production [draws, n] that each review stands for; a draw's shares sum to 1."""
    shares = counts * weights
    for label, share in enumerate(prior):
        own = gold == label
        shares[:, own] *= share / shares[:, own].sum(-1, keepdims=True)
    return shares


def _columns(
    predictions: pd.DataFrame, rule: DecisionRule, shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return what the figures are sums of [n, c*c + 2 + b*bins].

    These are the confusion cells, whether a review is answered, and wrongly, and p - truth by bin.
    """
    answers = answers_of(predictions, rule.labels)
    p = rule.probabilities(answers.log_probs)
    answered, sure = rule.answers(p), ~rule.unsure(p)
    classes = np.arange(p.shape[1])
    is_gold = answers.gold[:, None] == classes
    cells = is_gold[:, :, None] & (answered[:, None, None] == classes)
    wrong = sure & (answered != answers.gold)
    counted = (cells.reshape(len(p), -1), sure[:, None], wrong[:, None])
    # With two labels, the second has the same distances with the opposite sign.
    shown = classes[:1] if len(classes) == TWO_CLASSES else classes
    bins = [_distances(p[:, label] - is_gold[:, label], p[:, label], shares) for label in shown]
    return np.concatenate([*(column.astype(float) for column in counted), *bins], axis=1)


def _distances(
    distance: npt.NDArray[np.float64], p: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the distances [n, bins], each in its bin; a bin has a fifteenth of production's reviews."""
    order = np.argsort(p, kind="stable")
    place = np.empty(len(p))
    place[order] = np.cumsum(shares[order]) - shares[order] / 2
    bins = np.minimum((place * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return np.asarray(distance[:, None] * (bins[:, None] == np.arange(CALIBRATION_BINS)))


def _figures(
    sums: npt.NDArray[np.float64], prior: npt.NDArray[np.float64], places: Sequence[int] | None
) -> dict[str, Figure]:
    """Return the figures from the sums [draws, ...] of the columns."""
    c = len(prior)
    confusion = sums[:, : c * c].reshape(-1, c, c)  # by gold label and answer, as fractions of production
    coverage = sums[:, c * c].round(12)  # exactly 1 if every review is answered
    wrong = sums[:, c * c + 1]
    bins = sums[:, c * c + 2 :].reshape(len(sums), -1, CALIBRATION_BINS)
    hits, answered = np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(1)
    figures = {
        "accuracy": hits.sum(-1),
        "macro_f1": (2 * hits / (answered + prior)).mean(-1),
        "calibration_error": np.abs(bins).sum(-1).mean(-1),
        "coverage": coverage,
        "risk": wrong / np.maximum(coverage, np.finfo(float).tiny),  # 0 if nothing is answered
        "share": np.broadcast_to(prior, hits.shape),
        "precision": hits / np.maximum(answered, np.finfo(float).tiny),  # 0 if the label is never answered
        "recall": hits / prior,
    }
    clipped = {name: np.clip(value, 0, 1) for name, value in figures.items()}  # rounding errors
    return clipped | ({} if places is None else scale_figures(confusion, places))
