"""Multinomial logistic regression on features, without pickles: a weight and a bias for each label."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.arms.arm import LabelledDocuments

WEIGHTS_FILE = "linear.npz"
LABELS_FILE = "labels.json"
MAX_ITERATIONS = 1_000
MAX_CHARACTERS = 100_000
"""Of a title or text. Far more than any review has; a million would take seconds."""
INVERSE_REGULARISATIONS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""From which `fit_best_linear` chooses: around the best for normalised vectors of some hundred dimensions."""


@dataclass(frozen=True)
class LinearHead:
    """A linear layer: weights [c, features] and bias [c], both in FP64, in the order of the labels."""

    labels: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]

    def log_probs(self, features: Any) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] for features [n, f], dense or sparse."""
        found: npt.NDArray[np.float64] = log_softmax(features @ self.weights.T + self.bias, axis=1)
        return found

    def save(self, directory: Path) -> None:
        """Write labels, weights and bias."""
        (directory / LABELS_FILE).write_text(json.dumps(self.labels, ensure_ascii=False), "utf-8")
        np.savez(directory / WEIGHTS_FILE, weights=self.weights, bias=self.bias)

    @classmethod
    def load(cls, directory: Path) -> LinearHead:
        """Read what `save` wrote."""
        labels = tuple(json.loads((directory / LABELS_FILE).read_text("utf-8")))
        with np.load(directory / WEIGHTS_FILE) as found:
            return cls(labels, found["weights"], found["bias"])


class DocumentArm:
    """An arm that reads a title and a text as one document, and ends in a linear layer."""

    head: LinearHead

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the possible labels."""
        return self.head.labels

    @property
    def max_characters(self) -> int:
        """Return how many characters of a title or text are read."""
        return MAX_CHARACTERS


@dataclass(frozen=True)
class Features:
    """Features [n, f] of documents, dense or sparse, and the documents in the same order."""

    values: Any
    of: LabelledDocuments


def fit_linear(train: Features, inverse_regularisation: float, seed: int) -> LinearHead:
    """Fit the weights that give the targets the least cross-entropy."""
    from sklearn.linear_model import LogisticRegression

    # scikit-learn takes labels, not probabilities: a document counts once for each label, with its target as
    # the weight. The sum of these losses is the cross-entropy.
    rows, labels = np.nonzero(train.of.targets)
    found = LogisticRegression(C=inverse_regularisation, max_iter=MAX_ITERATIONS, random_state=seed)
    found.fit(train.values[rows], labels, sample_weight=train.of.targets[rows, labels])
    weights, bias = found.coef_, found.intercept_
    if len(weights) == 1:  # of two labels, scikit-learn keeps the second one's log odds only
        weights, bias = np.vstack([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    return LinearHead(train.of.labels, weights, bias)


def fit_best_linear(train: Features, validation: Features, seed: int) -> LinearHead:
    """Fit with the regularisation that gives the validation documents' targets the least cross-entropy."""
    heads = [
        fit_linear(train, inverse_regularisation, seed) for inverse_regularisation in INVERSE_REGULARISATIONS
    ]
    return max(heads, key=lambda head: (validation.of.targets * head.log_probs(validation.values)).sum())
