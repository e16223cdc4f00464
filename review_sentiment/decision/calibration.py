"""Turn a model's scores into likelihood ratios that can be trusted.

A model's probabilities are rarely right: reviews with "0.9" are not positive nine times in ten. They also
contain the class shares of the training set, which was balanced. Both are corrected here, on validation
reviews: a linear function of the scores is fitted as if every label were equally frequent. Its exponentials
are likelihood ratios p(review | label), up to a factor per review, so that Bayes' rule gives the
probabilities for any class shares: p(label | review) is proportional to likelihood times share. That assumes
that negative reviews look the same wherever they are less frequent (label shift: M. Saerens, P. Latinne and
C. Decaestecker, Neural Computation 14, 2002).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.decision.labelled_scores import LabelledScores

Method = Literal["none", "temperature", "platt"]
FITTED: tuple[Method, ...] = ("temperature", "platt")
FOLDS = 5
FOLD_SEED = 0
TWO_CLASSES = 2
SPREAD_OF_SLOPE, SPREAD_OF_DEVIATION, SPREAD_OF_OFFSET = 1.0, 0.5, 2.0
"""Standard deviations of normal priors: of the slope around 1, of a class's slope around the common one, and
of an offset around 0. They keep the fit finite if a threshold separates the labels without an error, where
the best slope is infinite; with a hundred reviews of a label they move a slope by less than its error."""
SMALLEST_SLOPE = 0.01
"""A model that ranks labels the wrong way round is not turned round: its answers follow the class shares."""
WIDEST = 80.0
"""Log-probabilities further below the largest are raised to this distance, since log 0 is not a number."""


@dataclass(frozen=True)
class Calibration:
    """Calibrated score of label k: slopes[k] * (its log-probability - the labels' mean) + offsets[k].

    `temperature` has one slope and no offsets (C. Guo et al., arXiv 1706.04599). `platt` has a slope and an
    offset (J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999); with more than two classes
    it has one of each per class (vector scaling). `log_loss` holds the cross-validated log loss of each
    method in nats, with all labels equally frequent. `platt` [2c] has the slopes and offsets of that method,
    also if the temperature was chosen, and `covariance` [2c, 2c] is theirs: `share_estimate.py` needs them.
    """

    method: Method
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    platt: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    log_loss: Mapping[str, float]

    @classmethod
    def none(cls, classes: int) -> Calibration:
        """Return the calibration that leaves scores as they are."""
        ones, zeros = (1.0,) * classes, (0.0,) * classes
        return cls("none", ones, zeros, ones + zeros, (zeros + zeros,) * (2 * classes), {})

    def scores(self, log_probs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the calibrated scores [n, c] of log-probabilities [n, c]."""
        return np.asarray(np.array(self.slopes) * centred(log_probs) + np.array(self.offsets))


def centred(log_probs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return log-probabilities [n, c] minus their mean over the labels."""
    clipped = np.maximum(log_probs, log_probs.max(-1, keepdims=True) - WIDEST)
    return np.asarray(clipped - clipped.mean(-1, keepdims=True))


def fit_calibration(scores: LabelledScores) -> Calibration:
    """Fit both methods, and return the one with the lower cross-validated log loss.

    Every label has the same total weight, so the result does not depend on how many reviews of it were drawn.
    """
    loss: dict[str, float] = {method: _Fit(scores, method).cross_validated() for method in FITTED}
    # A tie goes to the temperature, which has fewer parameters.
    return fit_method(scores, min(FITTED, key=lambda method: loss[method]), loss)


def fit_method(scores: LabelledScores, method: Method, log_loss: Mapping[str, float]) -> Calibration:
    """Fit one method."""
    classes = scores.classes
    platt = _Fit(scores, "platt")
    fit = platt if method == "platt" else _Fit(scores, method)
    return Calibration(
        method=method,
        slopes=tuple(fit.slopes_and_offsets[:classes].tolist()),
        offsets=tuple(fit.slopes_and_offsets[classes:].tolist()),
        platt=tuple(platt.slopes_and_offsets.tolist()),
        covariance=tuple(tuple(row) for row in platt.covariance().tolist()),
        log_loss=dict(log_loss),
    )


class _Fit:
    """Maximum a posteriori fit of a method: logistic regression of the gold label, at equal label totals."""

    def __init__(self, scores: LabelledScores, method: Method) -> None:
        c = scores.classes
        self.scores = scores
        self.to_scores, self.spread = _parameters(c, method)
        self.z = centred(scores.log_probs)
        self.centre = np.zeros(len(self.spread))
        self.centre[0] = 1.0
        # The reviews that equal label totals are worth: those of the rarest label decide.
        self.weights = scores.within_label / c * c**2 / (1 / scores.effective_counts).sum()
        self.truth = np.eye(c)[scores.gold]
        self.parameters = self._fitted(np.ones(len(self.z), dtype=bool), self.centre)

    @property
    def slopes_and_offsets(self) -> npt.NDArray[np.float64]:
        """Return the slopes and offsets [2c]."""
        return np.asarray(self.to_scores @ self.parameters)

    def _scores(
        self, parameters: npt.NDArray[np.float64], rows: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Return the calibrated scores [rows, c] under some parameters [p]."""
        slopes, offsets = np.split(self.to_scores @ parameters, 2)
        return np.asarray(self.z[rows] * slopes + offsets)

    def _fitted(self, rows: npt.NDArray[np.bool_], start: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the parameters [p] fitted on some rows."""
        from scipy.optimize import minimize

        z, truth, weights = self.z[rows], self.truth[rows], self.weights[rows]

        def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            score = self._scores(parameters, rows)
            log_p = score - np.logaddexp.reduce(score, axis=-1, keepdims=True)
            away = (parameters - self.centre) / self.spread
            residual = weights[:, None] * (np.exp(log_p) - truth)
            of_both = np.concatenate([(residual * z).sum(0), residual.sum(0)])  # slopes, offsets
            gradient = of_both @ self.to_scores
            return -float(weights @ (log_p * truth).sum(-1)) + float(away @ away) / 2, (
                gradient + away / self.spread
            )

        bounds = [(SMALLEST_SLOPE, None), *[(None, None)] * (len(self.centre) - 1)]
        options = {"ftol": 1e-12, "gtol": 1e-6}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return np.asarray(found.x)

    def cross_validated(self) -> float:
        """Return the log loss per review, each computed with a fit on the other folds."""
        gold = self.scores.gold
        folds = _stratified_folds(gold)
        total = 0.0
        for fold in range(FOLDS):
            held_out = folds == fold
            score = self._scores(self._fitted(~held_out, self.parameters), held_out)
            losses = np.logaddexp.reduce(score, axis=-1) - (score * self.truth[held_out]).sum(-1)
            total += float(self.weights[held_out] @ losses)
        return total / float(self.weights.sum())

    def covariance(self) -> npt.NDArray[np.float64]:
        """Return the covariance [2c, 2c] of slopes and offsets: the sandwich estimate, right under weights.

        H^-1 G H^-1, with the curvature H and the variance G of the gradients within each label (P. Huber,
        1967).
        """
        from scipy.special import softmax

        z = self.z
        p = softmax(self._scores(self.parameters, np.ones(len(z), dtype=bool)), axis=-1)
        middle = np.concatenate([p * z, p], axis=1) @ self.to_scores
        # A label's score depends on its own slope and offset only, so the blocks are diagonal.
        of_slopes, of_both, of_offsets = (np.diag(self.weights @ (p * z**power)) for power in (2, 1, 0))
        spread = self.to_scores.T @ np.block([[of_slopes, of_both], [of_both, of_offsets]]) @ self.to_scores
        curvature = spread - (self.weights[:, None] * middle).T @ middle + np.diag(self.spread**-2)
        apart = p - self.truth
        gradients = np.concatenate([apart * z, apart], axis=1) @ self.to_scores
        within = self.scores.within_label[:, None]
        means = self.truth.T @ (within * gradients)
        weighted = self.weights[:, None] * (gradients - means[self.scores.gold])
        half = self.to_scores @ np.linalg.solve(curvature, weighted.T)
        return np.asarray(half @ half.T)


def _stratified_folds(gold: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the fold [n] of each review; every fold has its part of each label.

    scikit-learn's folds are as good, but its import would be a fifth of the time of a new rule.
    """
    folds = np.empty(len(gold), dtype=np.int64)
    shuffled = np.random.default_rng(FOLD_SEED).permutation(len(gold))
    by_label = shuffled[np.argsort(gold[shuffled], kind="stable")]
    folds[by_label] = np.arange(len(gold)) % FOLDS
    return folds


def _parameters(classes: int, method: Method) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the matrix [2c, p] from parameters to slopes and offsets, and the parameters' spread [p]."""
    identity, zeros = np.eye(classes), np.zeros((classes, classes))
    common = np.concatenate([np.ones(classes), np.zeros(classes)])[:, None]
    parts, spread = [common], [SPREAD_OF_SLOPE]
    if method == "platt" and classes > TWO_CLASSES:
        # Two classes have one difference of log-probabilities, so one slope.
        parts.append(np.concatenate([identity, zeros]))
        spread += [SPREAD_OF_DEVIATION] * classes
    if method == "platt":
        parts.append(np.concatenate([zeros, identity]))
        spread += [SPREAD_OF_OFFSET] * classes
    return np.concatenate(parts, axis=1), np.array(spread)
