"""Pictures of results: PNG through matplotlib, readable without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from review_sentiment.metrics import UNPARSED

if TYPE_CHECKING:
    from review_sentiment.metrics import Evaluation

BLUE = "#2166ac"
"""From the colour-blind safe scale RdBu of ColorBrewer."""
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


def curve_figure(curve: tuple[dict[str, float], ...]) -> Figure:
    """Draw loss, learning rate, gradient norm and speed over the optimiser steps."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    steps = [point["step"] for point in curve]
    for axes, (name, title) in zip(
        figure.subplots(2, 2).flat,
        (
            ("loss", "loss"),
            ("learning_rate", "learning rate"),
            ("grad_norm", "gradient norm"),
            ("tokens_per_second", "tokens a second"),
        ),
        strict=True,
    ):
        axes.plot(steps, [point[name] for point in curve], color=BLUE, linewidth=1.2)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("optimiser step", fontsize=8)
        axes.grid(alpha=0.3)
        if name == "loss":
            axes.set_yscale("log")
    return figure
