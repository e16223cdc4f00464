"""The decision rule of a version: the one way from a model's scores to answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.decision.calibration import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True)
class Threshold:
    """Answer `label` (a class index) if its probability reaches `at`, otherwise the likeliest other label.

    `keeps_recall`: the threshold was chosen for a recall, which does not depend on the class shares, so it
    moves with them (exactly so with two classes).
    """

    label: int
    at: float
    keeps_recall: bool = False


@dataclass(frozen=True)
class Band:
    """The version does not answer a review if its answer's probability is below `below`.

    At most `risk` of the given answers are wrong, with this confidence: in all reviews, or in a file of
    `reviews`. `possible_at`, with more than two labels: every label whose probability reaches it is possible.
    """

    below: float
    risk: float
    confidence: float
    possible_at: float | None = None
    reviews: int | None = None


@dataclass(frozen=True)
class ExpectedFigure:
    """A figure on the validation reviews at the natural share, with its two-sided 95 % interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class DecisionRule:
    """From label log-probabilities to answers, for class shares `prior`.

    `objective` says what was requested. `threshold` or `costs` decide; with neither, the likeliest label is
    the answer. `costs` has what a wrong answer of each label costs. `band` is where the version does not
    answer. `n` has the number of validation reviews of each label, and `expected` the figures on them: the
    rule was fitted on these reviews, so the figures on the evaluation set are the ones to report.
    """

    labels: tuple[str, ...]
    prior: tuple[float, ...]
    calibration: Calibration
    objective: str
    threshold: Threshold | None = None
    costs: tuple[float, ...] | None = None
    band: Band | None = None
    n: tuple[int, ...] = ()
    expected: tuple[ExpectedFigure, ...] = ()

    @classmethod
    def raw(cls, labels: Sequence[str], prior: Sequence[float]) -> DecisionRule:
        """Return the rule that corrects for class shares alone, for scores from balanced training data."""
        return cls(tuple(labels), tuple(prior), Calibration.none(len(labels)), "accuracy, not calibrated")

    @property
    def rarest(self) -> str:
        """Return the label with the smallest class share."""
        return self.labels[self.prior.index(min(self.prior))]

    @property
    def guarantees(self) -> bool:
        """Return whether a precision, a recall or a risk was proved on the validation reviews."""
        return self.band is not None or self.objective.startswith(("precision ", "recall "))

    @property
    def described(self) -> str:
        """Return what the rule was fitted for."""
        if self.band is None:
            return self.objective
        files = f" in files of {self.band.reviews:,}" if self.band.reviews else ""
        return f"{self.objective}, and at most {100 * self.band.risk:g} % of the given answers wrong{files}"

    def in_words(self) -> str:
        """Return what the answer is, what the rule was fitted for, and where there is no answer."""
        if self.costs is not None:
            answer = "the label with the lowest expected cost"
        elif self.threshold is None:
            answer = "the likeliest label"
        else:
            answer = f'"{self.labels[self.threshold.label]}" from a probability of {self.threshold.at:.3f} on'
        unsure = "" if self.band is None else f"; unsure below a probability of {self.band.below:.3f}"
        return f"{answer} (objective: {self.described}){unsure}"

    def probabilities(
        self, log_probs: npt.NDArray[np.float64], prior: Sequence[float] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities [n, c] for class shares `prior`, or for the rule's.

        `log_probs` [n, c] are the labels' log-probabilities or logits; a constant added to a row has no
        effect.
        """
        with np.errstate(divide="ignore"):  # a share of 0 gives a probability of 0
            scores = self.calibration.scores(log_probs) + np.log(self.prior if prior is None else prior)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True))

    def answers(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the class index [n] that is the answer to each review, from its probabilities [n, c]."""
        if self.costs is not None:
            return np.asarray(((1 - probabilities) * np.array(self.costs)).argmin(-1))
        if self.threshold is None:
            return np.asarray(probabilities.argmax(-1))
        return answers_at(probabilities, self.threshold.label, self.threshold.at)

    def confidence(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the probability [n] of each review's answer."""
        answers = self.answers(probabilities)
        return np.asarray(np.take_along_axis(probabilities, answers[:, None], -1)[:, 0])

    def unsure(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return whether the version does not answer [n]."""
        return np.asarray(self.confidence(probabilities) < (0.0 if self.band is None else self.band.below))

    def possible(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_] | None:
        """Return which labels are possible [n, c], the answer always, or None if the rule does not say."""
        if self.band is None or self.band.possible_at is None:
            return None
        return possible_labels(probabilities, self.answers(probabilities), self.band.possible_at)

    def for_prior(self, prior: Sequence[float]) -> DecisionRule:
        """Return the rule for other class shares, which its expected figures do not describe."""
        return replace(self, prior=tuple(prior), threshold=self._moved_threshold(prior), expected=())

    def _moved_threshold(self, prior: Sequence[float]) -> Threshold | None:
        if self.threshold is None or not self.threshold.keeps_recall:
            return self.threshold
        label = self.threshold.label
        odds = self.threshold.at / (1 - self.threshold.at)
        for share, power in ((self.prior[label], -1), (prior[label], 1)):
            odds *= (share / (1 - share)) ** power
        return replace(self.threshold, at=odds / (1 + odds))


def answers_at(probabilities: npt.NDArray[np.float64], label: int, at: float) -> npt.NDArray[np.int64]:
    """Return the answers [n] of a threshold for a label."""
    others = np.where(np.arange(probabilities.shape[-1]) == label, -1.0, probabilities)
    return np.asarray(np.where(probabilities[..., label] >= at, label, others.argmax(-1)))


def possible_labels(
    probabilities: npt.NDArray[np.float64], answers: npt.NDArray[np.int64], at: float
) -> npt.NDArray[np.bool_]:
    """Return the prediction sets [n, c]: the answer, and the labels whose probability reaches `at`."""
    return np.asarray((probabilities >= at) | (np.arange(probabilities.shape[-1]) == answers[:, None]))
