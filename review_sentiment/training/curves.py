"""The figures of an optimizer step, logged as `train/NAME`, with their titles, and how they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = {
    "loss": "loss",
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
    "tokens_per_second": "tokens a second",
    "memory_gb": "memory in use (GB)",
    "gpu_utilisation": "GPU utilisation",
}


CURVE_COLOUR = "#2166ac"
"""From the colour-blind safe scale RdBu of ColorBrewer."""
CURVE_COLUMNS = 3
FEW_POINTS = 20
"""Curves with fewer points show each."""


def curve_figure(
    curve: tuple[dict[str, float], ...], validations: tuple[dict[str, float], ...] = ()
) -> Figure:
    """Draw the figures of the optimizer steps, and the macro-F1 of the validations if there are any."""
    from matplotlib.figure import Figure

    panels = [
        (title, [(point["step"], point[name]) for point in curve if name in point])
        for name, title in CURVES.items()
    ]
    panels.append(("validation macro-F1", [(found["step"], found["macro_f1"]) for found in validations]))
    shown = [(title, points) for title, points in panels if points]
    rows = -(-len(shown) // CURVE_COLUMNS)
    figure = Figure(figsize=(11, 2.7 * rows), layout="constrained")
    places = figure.subplots(rows, CURVE_COLUMNS, squeeze=False).flat
    for axes, (title, points) in zip(places, shown, strict=False):
        marker = "o" if len(points) < FEW_POINTS else None
        axes.plot(*zip(*points, strict=True), color=CURVE_COLOUR, linewidth=1.2, marker=marker)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("optimizer step", fontsize=8)
        axes.grid(alpha=0.3)
        if title == CURVES["loss"]:
            axes.set_yscale("log")
    for axes in list(figure.axes)[len(shown) :]:
        axes.set_axis_off()
    return figure
