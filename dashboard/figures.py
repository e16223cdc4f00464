"""Plotly figures on a transparent background, for light and dark pages.

The colours are from the Okabe-Ito palette, which is safe for colour-blind readers. Lines also differ in
their dashes and points in their markers. `app.css` sets the colour of axis labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from review_sentiment.names import shortened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from review_sentiment.evaluation.tradeoff import Tradeoff

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "square", "diamond", "cross", "triangle-up", "x")
GRID = "rgba(128,128,128,0.3)"
TRANSPARENT = "rgba(0,0,0,0)"
FADING = [[0.0, "rgba(0,114,178,0)"], [1.0, "rgba(0,114,178,0.6)"]]
"""Text in the page's colour can be read on it, on light and dark pages."""
SIGNS = [
    [0.0, "#D55E00"],
    [0.4999, "rgba(213,94,0,0)"],
    [0.5001, "rgba(0,114,178,0)"],
    [1.0, "#0072B2"],
]
"""Zero is transparent: neither light nor dark pages glare."""
MAX_TICKS = 12
"""A matrix with at most this many rows (or columns) gets a tick for each."""
FEW_LABELS = 5
"""Up to this number, a cell of a confusion matrix shows its count and its fraction, otherwise its count."""
CONFUSION_HEIGHT = 280
ROW_OF_NAMES = 32
"""Characters of labels that fit side by side on a phone."""
PIXELS_PER_CHARACTER = 7
SQUARE_HEIGHT = 380
"""Pixels."""
TITLE_DISTANCE = 8
"""Pixels between the tick labels of an axis, however long they are, and its title."""
LEGEND_LINE = 22
"""Pixels of a line in a legend below a figure: a long name has one of its own."""
MAX_POINTS = 600
"""A longer line is thinned out: more points cannot be seen at its width."""
FEW_POINTS = 25
"""A line with fewer points shows a marker for each."""


@dataclass(frozen=True)
class Line:
    """A named line or series of points; `low` and `high` are the ends of intervals, if there are any."""

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def lines(
    title: str,
    x_title: str,
    y_title: str,
    shown: Sequence[Line],
    logarithmic: bool = False,
    height: int = 230,
) -> go.Figure:
    """Draw lines, with a legend if there are several."""
    figure = _figure(title, x_title, y_title, height)
    for number, line in enumerate(shown):
        step = max(1, -(-len(line.y) // MAX_POINTS))
        marker = _marker(number, 7)
        figure.add_scatter(
            x=list(line.x[::step]),
            y=list(line.y[::step]),
            name=line.name,
            mode="lines+markers" if len(line.y) < FEW_POINTS else "lines",
            line={"color": marker["color"], "dash": DASHES[number % len(DASHES)], "width": 2},
            marker=marker,
            error_y=_error_bars(line) if len(line.low) else None,
        )
    extra = LEGEND_LINE * max(0, len(shown) - 2)
    figure.update_layout(showlegend=len(shown) > 1, margin_b=85 + extra if len(shown) > 1 else 45)
    figure.update_layout(height=height + extra)
    if logarithmic:
        figure.update_yaxes(type="log")
    return figure


def _error_bars(line: Line) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - y for high, y in zip(line.high, line.y, strict=True)],
        "arrayminus": [y - low for low, y in zip(line.low, line.y, strict=True)],
    }


def unit_square(title: str, x_title: str, y_title: str, shown: Sequence[Line]) -> go.Figure:
    """Draw lines in the unit square, together with its diagonal."""
    figure = lines(title, x_title, y_title, shown, height=SQUARE_HEIGHT)
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": "grey", "width": 1})
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def intervals(title: str, x_title: str, shown: Sequence[Line]) -> go.Figure:
    """Draw figures with their intervals: one row per name (`Line.x`), with the models next to each other."""
    figure = _figure(title, x_title, "", intervals_height(shown))
    for number, line in enumerate(shown):
        figure.add_scatter(
            x=list(line.y),
            y=list(line.x),
            name=line.name,
            mode="markers",
            orientation="h",
            error_x=_error_bars(line),
            marker=_marker(number, 10),
        )
    figure.update_layout(showlegend=True, scattermode="group", margin_b=65 + LEGEND_LINE * len(shown))
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def intervals_height(shown: Sequence[Line]) -> int:
    """Return the height of `intervals` in pixels, with title, axis and legend."""
    return 130 + LEGEND_LINE * len(shown) + 34 * max((len(line.x) for line in shown), default=1)


def confusion(
    title: str, counts: Sequence[Sequence[int]], gold: Sequence[str], answers: Sequence[str]
) -> go.Figure:
    """Draw a confusion matrix: gold labels (rows) against answers (columns), with counts and fractions."""
    fractions = [[count / max(1, sum(row)) for count in row] for row in counts]
    figure = _figure(title, "Answer", "Gold label", confusion_height(gold))
    figure.add_heatmap(
        z=fractions,
        x=list(answers),
        y=list(gold),
        text=counts,
        texttemplate="%{text}<br>%{z:.1%}" if len(gold) <= FEW_LABELS else "%{text}",
        hovertemplate="gold %{y}, answer %{x}: %{text} (%{z:.1%})<extra></extra>",
        colorscale=FADING,
        zmin=0,
        zmax=1,
        showscale=False,
    )
    for axis, labels in ((figure.layout.xaxis, answers), (figure.layout.yaxis, gold)):
        # Every label gets a tick, and labels that are numbers are names too. Positions would not do: plotly
        # takes the position 1 for the label "1".
        ticks = {"tickvals": list(labels), "ticktext": list(map(shortened, labels))}
        axis.update(showgrid=False, type="category", **ticks)
    figure.update_yaxes(autorange="reversed")
    if _upright(gold):
        figure.update_xaxes(tickangle=-90, automargin=True, title_standoff=TITLE_DISTANCE)
    return figure


def confusion_height(labels: Sequence[str]) -> int:
    """Return the height of `confusion` in pixels: many labels get a line each, upright names their length."""
    cells = CONFUSION_HEIGHT if len(labels) <= FEW_LABELS else 150 + 20 * len(labels)
    return cells + (PIXELS_PER_CHARACTER * _longest(labels) if _upright(labels) else 0)


def _upright(labels: Sequence[str]) -> bool:
    """Return whether labels are too long, or too many, to be side by side below a matrix."""
    return len(labels) > FEW_LABELS or len(labels) * _longest(labels) > ROW_OF_NAMES


def _longest(labels: Sequence[str]) -> int:
    return max(len(shortened(label)) for label in labels)


def heatmap(
    title: str,
    x_title: str,
    y_title: str,
    values: npt.NDArray[np.floating],
    signed: bool = False,
    first_column: int = 0,
) -> go.Figure:
    """Draw a matrix whose zeros are transparent. Columns are numbered from `first_column`."""
    largest = float(abs(values).max()) or 1.0
    figure = _figure(title, x_title, y_title, SQUARE_HEIGHT)
    figure.add_heatmap(
        z=values,
        x0=first_column,
        colorscale=SIGNS if signed else FADING,
        zmin=-largest if signed else 0,
        zmax=largest,
        colorbar={"thickness": 10},
    )
    rows, columns = values.shape
    figure.update_xaxes(showgrid=False, zeroline=False, dtick=1 if columns <= MAX_TICKS else None)
    figure.update_yaxes(
        showgrid=False, zeroline=False, autorange="reversed", dtick=1 if rows <= MAX_TICKS else None
    )
    return figure


def bars(title: str, x_title: str, y_title: str, values: Mapping[str, float]) -> go.Figure:
    """Draw one bar per name."""
    figure = _figure(title, x_title, y_title, 300)
    figure.add_bar(x=list(values), y=list(values.values()), marker_color=COLOURS[0])
    figure.update_xaxes(type="category")  # names that are numbers would get ticks at 0.5
    return figure


def histogram_with_levels(
    title: str, x_title: str, heights: Sequence[float], edges: Sequence[float], levels: Sequence[float]
) -> go.Figure:
    """Draw a histogram of weights, and the levels that they are rounded to as vertical lines."""
    figure = _figure(title, x_title, "Fraction of the weights", 320)
    centres = [(low + high) / 2 for low, high in pairwise(edges)]
    figure.add_bar(x=centres, y=list(heights), marker_color=COLOURS[4], name="weights")
    for level in levels:
        figure.add_vline(x=level, line_color=COLOURS[5], line_width=2)
    figure.update_layout(bargap=0)
    return figure


def _figure(title: str, x_title: str, y_title: str, height: int) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 14}},
        height=height,
        margin={"l": 55, "r": 15, "t": 40, "b": 45},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        template="none",
    )
    lines_of_axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID}
    figure.update_xaxes(title=x_title, **lines_of_axis)
    figure.update_yaxes(title=y_title, automargin=True, title_standoff=TITLE_DISTANCE, **lines_of_axis)
    return figure


def _marker(number: int, size: int) -> dict[str, str | int]:
    return {"color": COLOURS[number % len(COLOURS)], "symbol": MARKS[number % len(MARKS)], "size": size}


def pareto(tradeoffs: Sequence[Tradeoff]) -> go.Figure:
    """Draw accuracy by reviews per second, with a line through the models on the Pareto front."""
    from review_sentiment.evaluation.tradeoff import pareto_front

    front = pareto_front(tradeoffs)
    # Models of nearly the same speed are next to each other: the names of every second one are below.
    place = {one.model: ("top center", "bottom center")[number % 2] for number, one in enumerate(tradeoffs)}
    others = [one for one in tradeoffs if one not in front]
    figure = _figure("Accuracy by speed", "Reviews per second", "Accuracy in production", SQUARE_HEIGHT)
    for number, (name, shown) in enumerate({"Pareto front": front, "others": others}.items()):
        figure.add_scatter(
            x=[one.cost.reviews_per_second for one in shown],
            y=[one.accuracy for one in shown],
            name=name,
            text=[one.model for one in shown],
            textposition=[place[one.model] for one in shown],
            mode="lines+markers+text" if shown is front else "markers+text",
            line={"shape": "hv", "color": COLOURS[number]},
            marker=_marker(number, 10),
            cliponaxis=False,
        )
    figure.update_layout(showlegend=True, margin={"t": 50, "r": 60, "b": 90})
    figure.update_xaxes(type="log", dtick="D2", tickformat=",")
    return figure
