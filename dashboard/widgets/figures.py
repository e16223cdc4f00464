"""Plotly figures on a transparent ground, for light and dark pages.

The colours are M. Okabe's and K. Ito's, which colour-blind people can tell apart; lines differ in
their dashes as well, and points in their marks. `app.css` sets the colour of axes' texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import plotly.graph_objects as go

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKS = ("circle", "square", "diamond", "cross", "triangle-up", "x")
GRID = "rgba(128,128,128,0.3)"
CLEAR = "rgba(0,0,0,0)"
BLUES = [[0.0, "#f0f6fb"], [0.5, "#6aaed6"], [1.0, "#08457e"]]
"""A scale of one hue from light to dark: its order is that of its lightness."""
SIGNS = [[0.0, "#D55E00"], [0.5, "#f7f7f7"], [1.0, "#0072B2"]]
DARK_CELL = 0.55
"""Share of a scale above which a cell is dark and its text white."""
MOST_TICKS = 12
"""Rows or columns of a matrix up to which each has its number."""
CONFUSION_HEIGHT = 280
SQUARE_HEIGHT = 380
"""Pixels."""
TITLE_DISTANCE = 8
"""Pixels between an axis' numbers, however long they are, and its title."""
MOST_POINTS = 600
"""Points of a line that are drawn: more cannot be seen at its width."""


@dataclass(frozen=True)
class Line:
    """A named line or row of points; `low` and `high` are ends of intervals where there are any."""

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
    """Draw lines; one with few points shows each."""
    figure = _figure(title, x_title, y_title, height)
    for number, line in enumerate(shown):
        every = max(1, -(-len(line.y) // MOST_POINTS))
        figure.add_trace(
            go.Scatter(
                x=list(line.x[::every]),
                y=list(line.y[::every]),
                name=line.name,
                mode="lines+markers" if len(line.y) < 25 else "lines",  # noqa: PLR2004
                **_style(number),
            )
        )
    figure.update_layout(showlegend=len(shown) > 1, margin_b=85 if len(shown) > 1 else 45)
    if logarithmic:
        figure.update_yaxes(type="log")
    return figure


def unit_square(title: str, x_title: str, y_title: str, shown: Sequence[Line]) -> go.Figure:
    """Draw lines in the unit square, beside its diagonal."""
    figure = lines(title, x_title, y_title, shown, height=SQUARE_HEIGHT)
    figure.add_trace(
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": "grey", "width": 1},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def intervals(title: str, x_title: str, shown: Sequence[Line]) -> go.Figure:
    """Draw figures with their intervals, a row a name (`Line.x`), models beside one another."""
    figure = _figure(title, x_title, "", intervals_height(shown))
    for number, line in enumerate(shown):
        figure.add_trace(
            go.Scatter(
                x=list(line.y),
                y=list(line.x),
                name=line.name,
                mode="markers",
                orientation="h",
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [high - y for high, y in zip(line.high, line.y, strict=True)],
                    "arrayminus": [y - low for low, y in zip(line.low, line.y, strict=True)],
                },
                marker={"color": COLOURS[number % 6], "symbol": MARKS[number % 6], "size": 10},
            )
        )
    figure.update_layout(showlegend=True, scattermode="group", margin_b=85)
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def intervals_height(shown: Sequence[Line]) -> int:
    """Return the pixels that the rows of `intervals` take with title, axis and legend."""
    return 150 + 34 * max((len(line.x) for line in shown), default=1)


def confusion(
    title: str, counts: Sequence[Sequence[int]], gold: Sequence[str], answers: Sequence[str]
) -> go.Figure:
    """Draw counts and shares of gold labels (rows) against answers (columns)."""
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    figure = _figure(title, "answer", "gold label", CONFUSION_HEIGHT)
    figure.add_trace(
        go.Heatmap(z=shares, x=list(answers), y=list(gold), colorscale=BLUES, zmin=0, zmax=1, showscale=False)
    )
    for row, name in enumerate(gold):
        for column, answer in enumerate(answers):
            figure.add_annotation(
                x=answer,
                y=name,
                text=f"{counts[row][column]}<br>{shares[row][column]:.1%}",
                showarrow=False,
                font={"color": "white" if shares[row][column] > DARK_CELL else "black"},
            )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return figure


def heatmap(
    title: str,
    x_title: str,
    y_title: str,
    values: npt.NDArray[np.floating],
    signed: bool = False,
    names: Sequence[str] = (),
    height: int = 380,
    first_column: int = 0,
) -> go.Figure:
    """Draw a matrix; a signed one with white for zero. Its columns are counted from `first_column`."""
    most = float(abs(values).max()) or 1.0
    figure = _figure(title, x_title, y_title, height)
    figure.add_trace(
        go.Heatmap(
            z=values,
            x0=first_column,
            y=list(names) or None,
            colorscale=SIGNS if signed else BLUES,
            zmin=-most if signed else 0,
            zmax=most,
            colorbar={"thickness": 10},
        )
    )
    rows, columns = values.shape
    figure.update_xaxes(showgrid=False, dtick=1 if columns <= MOST_TICKS else None)
    figure.update_yaxes(showgrid=False, autorange="reversed", dtick=1 if rows <= MOST_TICKS else None)
    return figure


def bars(title: str, x_title: str, y_title: str, values: Mapping[str, float]) -> go.Figure:
    """Draw a bar a name."""
    figure = _figure(title, x_title, y_title, 300)
    figure.add_trace(go.Bar(x=list(values), y=list(values.values()), marker_color=COLOURS[0]))
    return figure


def histogram_with_levels(
    title: str, x_title: str, heights: Sequence[float], edges: Sequence[float], levels: Sequence[float]
) -> go.Figure:
    """Draw a histogram and, as vertical lines, the levels that its values are rounded to."""
    figure = _figure(title, x_title, "share of the weights", 320)
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    figure.add_trace(go.Bar(x=middles, y=list(heights), marker_color=COLOURS[4], name="weights"))
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
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        template="none",
    )
    figure.update_xaxes(title=x_title, gridcolor=GRID, zerolinecolor=GRID, linecolor=GRID)
    figure.update_yaxes(title=y_title, gridcolor=GRID, zerolinecolor=GRID, linecolor=GRID, automargin=True)
    figure.update_yaxes(title_standoff=TITLE_DISTANCE)
    return figure


def _style(number: int) -> dict[str, object]:
    place = number % len(COLOURS)
    return {
        "line": {"color": COLOURS[place], "dash": DASHES[place], "width": 2},
        "marker": {"color": COLOURS[place], "symbol": MARKS[place], "size": 7},
    }
