"""What pages are made of: cards, grids, tables, badges. Texts are escaped, whoever wrote them."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import marimo as mo

if TYPE_CHECKING:
    import plotly.graph_objects as go

Judgement = Literal["good", "warn", "bad"]
MARKS = {"good": "✓", "warn": "!", "bad": "✗"}
"""Beside the colour, for those who cannot tell it."""
LONG_TEXT = 80
"""Characters above which a cell of a table keeps a width to read it at."""


@dataclass(frozen=True)
class Shown:
    """What a cell shows, and its controls: marimo forgets a control that no cell's name leads to."""

    view: mo.Html | None
    controls: tuple[Any, ...] = ()


def said(text: str, small: bool = False) -> mo.Html:
    """Return a paragraph of plain text."""
    return mo.Html(f"<p{' class=rs-small' if small else ''}>{html.escape(text)}</p>")


def card(title: str, figure: str, below: str = "") -> mo.Html:
    """Return a figure with its title and a line below it."""
    return mo.Html(
        f"<div class=rs-card><b>{html.escape(title)}</b><div class=rs-figure>{html.escape(figure)}</div>"
        f"<div class=rs-small>{html.escape(below)}</div></div>"
    )


def grid(items: Iterable[Any], least_rem: int = 20) -> mo.Html:
    """Return items side by side where there is room for so many rem each, else below one another."""
    cells = "".join(f"<div>{mo.as_html(item).text}</div>" for item in items)
    return mo.Html(f"<div class=rs-grid style='--rs-least:{least_rem}rem'>{cells}</div>")


def badge(text: str, judgement: Judgement) -> mo.Html:
    """Return a word with a mark and a colour."""
    return mo.Html(
        f"<div><span class='rs-badge {judgement}'>{MARKS[judgement]} {html.escape(text)}</span></div>"
    )


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> mo.Html:
    """Return a small table that scrolls sideways where it is too wide; cells may be `mo.Html`."""
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in heading)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return mo.Html(
        f"<div class=rs-scroll tabindex=0><table class=rs-table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def column(items: Iterable[Any], gap: float = 0.6) -> mo.Html:
    """Return items below one another; what is None is left out."""
    return mo.vstack([item for item in items if item is not None], gap=gap)


def code(text: str) -> mo.Html:
    """Return text to copy: a click selects all of it."""
    return mo.Html(f"<pre class=rs-code tabindex=0>{html.escape(text)}</pre>")


def bar(share: float, label: str) -> mo.Html:
    """Return a progress bar for a share of 0-1."""
    percent = round(100 * min(1.0, max(0.0, share)))
    return mo.Html(
        f"<div class=rs-bar role=progressbar aria-valuemin=0 aria-valuemax=100 aria-valuenow={percent} "
        f"aria-label='{html.escape(label, quote=True)}'><div style='width:{percent}%'></div></div>"
        f"<div class=rs-small>{html.escape(label)}</div>"
    )


def notice(title: str, text: str, kind: Literal["neutral", "warn", "danger", "success", "info"]) -> mo.Html:
    """Return a box with a title and plain text."""
    return mo.callout(
        mo.Html(f"<b>{html.escape(title)}</b><p style='white-space:pre-line'>{html.escape(text)}</p>"),
        kind=kind,
    )


def plot(figure: go.Figure) -> mo.Html:
    """Return a figure as wide as its place and as high as its layout says."""
    shown = mo.ui.plotly(figure, config={"responsive": True, "displaylogo": False, "displayModeBar": False})
    return mo.Html(f"<div style='height:{figure.layout.height}px'>{shown.text}</div>")


def plot_when_seen(title: str, height: int, draw: Callable[[], go.Figure]) -> Shown:
    """Return a place of a height in pixels whose figure is drawn when it comes into sight.

    What is below the window costs nothing then, and another tab can be chosen between two figures. A
    window's first ones wait for a moment in which nothing is pressed (head.html).
    """
    later = mo.lazy(lambda: plot(draw()), show_loading_indicator=True)
    name = html.escape(title, quote=True)
    place = f"class=rs-figure role=figure aria-label='{name}' style='min-height:{height}px'"
    return Shown(mo.Html(f"<div {place}>{later.text}</div>"), (later,))


def clock(seconds: float) -> str:
    """Return a duration as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _cell(cell: object) -> str:
    if isinstance(cell, mo.Html):
        return f"<td>{cell.text}</td>"
    text = str(cell)
    return f"<td{' class=rs-long' if len(text) > LONG_TEXT else ''}>{html.escape(text)}</td>"
