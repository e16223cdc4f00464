"""The figures of an evaluation, wherever they are shown: ZenML's artifact, MLflow's run, a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from review_sentiment.evaluation.decision_plots import decision_figure
from review_sentiment.evaluation.plots import confusion_figure, probability_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from review_sentiment.evaluation.result import Evaluation


def figures_of(evaluation: Evaluation) -> dict[str, Figure]:
    """Draw the confusion matrix, the quality of the probabilities, and the decision rule if there is one."""
    figures = {
        "confusion_matrix": confusion_figure(evaluation),
        "probabilities": probability_figure(evaluation),
    }
    if evaluation.rule:
        figures["decision"] = decision_figure(evaluation.stratified, evaluation.rule)
    return figures
