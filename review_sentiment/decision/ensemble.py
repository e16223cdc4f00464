"""An ensemble: the mean of what two models make of a review."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from review_sentiment.decision.rule import DecisionRule


def mean_log_probs(
    rules: Sequence[DecisionRule], log_probs: Sequence[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Return the mean of the models' calibrated log-probabilities [n, c], with all labels equally frequent.

    `log_probs` has the scores [n, c] of each model, `rules` their rules. The class shares come in once, with
    the rule of the ensemble.
    """
    found = [
        np.log(np.maximum(rule.probabilities(scores, _balanced(rule)), np.finfo(float).tiny))
        for rule, scores in zip(rules, log_probs, strict=True)
    ]
    return np.asarray(np.mean(found, axis=0))


def _balanced(rule: DecisionRule) -> tuple[float, ...]:
    return (1 / len(rule.labels),) * len(rule.labels)
