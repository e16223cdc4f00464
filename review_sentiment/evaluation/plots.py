"""Pictures of results: PNG through matplotlib, readable without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from review_sentiment.evaluation.intervals import TWO_CLASSES
from review_sentiment.evaluation.predictions import UNPARSED, answers_of

if TYPE_CHECKING:
    from review_sentiment.evaluation.result import Evaluation

BLUE = "#2166ac"
"""From the colour-blind safe scale RdBu of ColorBrewer."""
COLOURS = ("#d55e00", BLUE, "#009e73", "#cc79a7", "#56b4e9")
"""Of classes; colour-blind safe (M. Okabe, K. Ito)."""
RELIABILITY_BINS = 10
DARK = 0.5
"""Share above which a cell is dark and its text white."""


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw counts and shares of gold labels (rows) against answers (columns)."""
    metrics = evaluation.metrics
    columns = (*metrics.labels, UNPARSED)
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in metrics.confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(metrics.confusion):
        for x, count in enumerate(row):
            axes.text(
                x,
                y,
                f"{count}\n{shares[y][x]:.1%}",
                ha="center",
                va="center",
                color="white" if shares[y][x] > DARK else "black",
            )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(metrics.labels)), metrics.labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("gold label")
    axes.set_title(
        f"{evaluation.model}: accuracy {metrics.accuracy:.3f}, AUC {metrics.roc_auc:.3f}, n = {metrics.n}",
        fontsize=10,
    )
    return figure


def probability_figure(evaluation: Evaluation) -> Figure:
    """Draw ROC, precision against recall, and sureness against accuracy (the reliability diagram)."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import precision_recall_curve, roc_curve

    labels = evaluation.metrics.labels
    answers = answers_of(evaluation.predictions, labels)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    roc, precision, reliability = figure.subplots(1, 3)
    shown = range(1, 2) if len(labels) == TWO_CLASSES else range(len(labels))
    for number in shown:
        gold, p = answers.gold == number, answers.probabilities[:, number]
        colour = COLOURS[number % len(COLOURS)]
        false_rate, true_rate, _ = roc_curve(gold, p)
        roc.plot(false_rate, true_rate, color=colour, label=labels[number])
        precisions, recalls, _ = precision_recall_curve(gold, p)
        precision.plot(recalls, precisions, color=colour, label=labels[number])
        accuracy, sureness = calibration_curve(gold, p, n_bins=RELIABILITY_BINS, strategy="quantile")
        reliability.plot(sureness, accuracy, color=colour, marker="o", markersize=3, label=labels[number])
    for axes, title, x, y in (
        (
            roc,
            f"ROC, area {evaluation.metrics.shown('roc_auc')}",
            "false positive rate",
            "true positive rate",
        ),
        (precision, "precision and recall", "recall", "precision"),
        (
            reliability,
            f"calibration error {evaluation.metrics.shown('calibration_error')}",
            "probability said",
            "share that is so",
        ),
    ):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_aspect("equal")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.grid(alpha=0.3)
        if axes is not precision:
            axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    precision.legend(loc="lower left", fontsize=8)
    return figure
