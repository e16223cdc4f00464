"""Figures of an evaluation, drawn with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.evaluation.intervals import RELIABILITY_BINS
from review_sentiment.evaluation.predictions import UNPARSED, answers_of
from review_sentiment.names import shortened

if TYPE_CHECKING:
    import numpy.typing as npt

    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.scoring.answers import Answers

BLUE = "#2166ac"
"""From ColorBrewer's scale RdBu, which is safe for colour-blind people."""
GREY = "#888888"
COLOURS = ("#d55e00", BLUE, "#009e73", "#cc79a7", "#56b4e9")
"""Colours of the classes, safe for colour-blind people (M. Okabe, K. Ito)."""
DARK = 0.5
"""Cells with a larger fraction are dark and get white text."""
FEW_LABELS = 5
"""Up to this number, cells have counts and fractions, and every label has its curves."""
MANY_LABELS = 25
"""Above this number, empty cells have no 0."""
ROW_OF_NAMES = 48
"""Characters of labels side by side below a matrix of few; more are upright."""
INCHES_PER_CHARACTER = 0.08


def confusion_figure(evaluation: Evaluation) -> Figure:
    """Draw counts and fractions of gold labels (rows) by answer (columns)."""
    metrics = evaluation.metrics
    few = len(metrics.labels) <= FEW_LABELS
    names = [plain(label) for label in metrics.labels]
    columns = (*names, UNPARSED)
    longest = max(map(len, columns))
    upright = not few or longest * len(columns) > ROW_OF_NAMES
    names_inches = INCHES_PER_CHARACTER * longest
    # A cell of many labels needs room for three digits, and each label a line beside it.
    cells = (0.7 * len(columns), 0.55 * len(names)) if few else (0.36 * len(columns), 0.28 * len(names))
    size = (max(5.2, cells[0] + names_inches + 1), max(3.6, cells[1] + names_inches * upright + 1))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    # Not ConfusionMatrixDisplay: it needs a square matrix, and ours has a column for unparsed answers.
    fractions = [[count / max(1, sum(row)) for count in row] for row in metrics.confusion]
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, row in enumerate(metrics.confusion):
        for x, count in enumerate(row):
            shown = f"{count}\n{fractions[y][x]:.1%}" if few else f"{count}"
            axes.text(
                x,
                y,
                shown if count or len(names) <= MANY_LABELS else "",
                ha="center",
                va="center",
                color="white" if fractions[y][x] > DARK else "black",
                fontsize=None if few else 8,
            )
    axes.set_xticks(range(len(columns)), columns, rotation=90 if upright else 0)
    axes.set_yticks(range(len(names)), names)
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
    few = len(metrics.labels) <= FEW_LABELS
    figure, (roc, precision, reliability) = three_in_a_row(4.2, 0.35 if few else 0.65)
    for place, number in enumerate(drawn_labels(answers)):
        gold, p = answers.gold == number, answers.probabilities[:, number]
        colour = COLOURS[number if answers.classes <= FEW_LABELS else place]
        name, style = plain(metrics.labels[number]), {"color": colour}
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
    if not few:
        figure.suptitle(
            f"The {FEW_LABELS} of {len(metrics.labels)} labels with the smallest area under the ROC",
            fontsize=10,
        )
    return figure


def three_in_a_row(height: float, above: float = 0.35) -> tuple[Figure, npt.NDArray[Any]]:
    """Return a figure and its three axes; lengths are in inches, `above` that of the room for titles.

    The margins are fixed: to find them ("constrained") takes as long as the drawing, 0.2 s a figure.
    """
    figure = Figure(figsize=(11, height))
    margins = {"left": 0.06, "right": 0.985, "bottom": 0.6 / height, "top": 1 - above / height}
    return figure, figure.subplots(1, 3, gridspec_kw=margins | {"wspace": 0.28})


def drawn_labels(answers: Answers) -> list[int]:
    """Return the labels whose curves are drawn: of many, those with the smallest area under the ROC."""
    from sklearn.metrics import roc_auc_score

    if answers.classes == TWO_CLASSES:
        return [1]  # the curves of the first mirror those of the second
    if answers.classes <= FEW_LABELS:
        return list(range(answers.classes))
    area = [roc_auc_score(answers.gold == label, p) for label, p in enumerate(answers.probabilities.T)]
    return [int(label) for label in np.argsort(area, kind="stable")[:FEW_LABELS]]


def plain(label: str) -> str:
    """Return a label, shortened, that matplotlib draws as it is: two dollar signs would be a formula."""
    return shortened(label).replace("$", r"\$")
