"""Figures of an evaluation, drawn with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.evaluation.intervals import RELIABILITY_BINS
from review_sentiment.evaluation.predictions import UNPARSED, answers_of

if TYPE_CHECKING:
    from review_sentiment.evaluation.result import Evaluation

BLUE = "#2166ac"
"""From ColorBrewer's scale RdBu, which is safe for colour-blind people."""
COLOURS = ("#d55e00", BLUE, "#009e73", "#cc79a7", "#56b4e9")
"""Colours of the classes, safe for colour-blind people (M. Okabe, K. Ito)."""
DARK = 0.5
"""Cells with a larger fraction are dark and get white text."""


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw counts and fractions of gold labels (rows) by answer (columns)."""
    metrics = evaluation.metrics
    columns = (*metrics.labels, UNPARSED)
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    # Not ConfusionMatrixDisplay: it needs a square matrix, and ours has a column for unparsed answers.
    fractions = [[count / max(1, sum(row)) for count in row] for row in metrics.confusion]
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(metrics.confusion):
        for x, count in enumerate(row):
            axes.text(
                x,
                y,
                f"{count}\n{fractions[y][x]:.1%}",
                ha="center",
                va="center",
                color="white" if fractions[y][x] > DARK else "black",
            )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(metrics.labels)), metrics.labels)
    axes.set(xlabel="Answer", ylabel="Gold label")
    axes.set_title(
        f"{evaluation.model}: accuracy {metrics.accuracy:.3f}, AUC {metrics.roc_auc:.3f}, n = {metrics.n}",
        fontsize=10,
    )
    return figure


def probability_figure(evaluation: Evaluation) -> Figure:
    """Draw the ROC curve, precision over recall, and the reliability diagram."""
    from sklearn.calibration import CalibrationDisplay
    from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

    metrics = evaluation.metrics
    answers = answers_of(evaluation.predictions, metrics.labels)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    roc, precision, reliability = figure.subplots(1, 3)
    # With two classes, the curves of the first mirror those of the second.
    shown = range(1, 2) if len(metrics.labels) == TWO_CLASSES else range(len(metrics.labels))
    for number in shown:
        gold, p = answers.gold == number, answers.probabilities[:, number]
        name, style = metrics.labels[number], {"color": COLOURS[number % len(COLOURS)]}
        RocCurveDisplay.from_predictions(gold, p, name=name, ax=roc, curve_kwargs=style)
        PrecisionRecallDisplay.from_predictions(gold, p, name=name, ax=precision, curve_kwargs=style)
        # Bins with equal numbers of reviews: most predictions are near 0 or 1, and bins of equal width
        # between them would be almost empty.
        CalibrationDisplay.from_predictions(
            gold,
            p,
            n_bins=RELIABILITY_BINS,
            strategy="quantile",
            name=name,
            ax=reliability,
            markersize=3,
            **style,
        )
    for axes, title, x, y in (
        (roc, f"ROC, area {metrics.shown('roc_auc')}", "False positive rate", "True positive rate"),
        (precision, "Precision and recall", "Recall", "Precision"),
        (
            reliability,
            f"Calibration error {metrics.shown('calibration_error')}",
            "Predicted probability",
            "Fraction of positives",
        ),
    ):
        axes.set_title(title, fontsize=10)
        axes.set(xlabel=x, ylabel=y, aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    roc.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    return figure
