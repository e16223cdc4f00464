"""The building blocks of a page: cards, grids, tables, badges. They escape every text."""

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
"""Shown with the colour, for readers who cannot tell the colours apart."""
LONG_TEXT = 80
"""Table cells with more characters than this keep a readable width."""


@dataclass(frozen=True)
class Panel:
    """What a cell shows, and its controls: marimo drops a control that no cell variable refers to."""

    view: mo.Html | None
    controls: tuple[Any, ...] = ()


def capitalised(text: str) -> str:
    """Return a text with a capital first letter; `str.capitalize` would change the names of labels in it."""
    return text[:1].upper() + text[1:]


def paragraph(text: str, small: bool = False) -> mo.Html:
    """Return a paragraph of plain text."""
    return mo.Html(f"<p{' class=rs-small' if small else ''}>{html.escape(text)}</p>")


def card(title: str, figure: str, below: str = "") -> mo.Html:
    """Return a figure with a title above and a line below."""
    return mo.Html(
        f"<div class=rs-card><b>{html.escape(title)}</b><div class=rs-figure>{html.escape(figure)}</div>"
        f"<div class=rs-small>{html.escape(below)}</div></div>"
    )


def grid(items: Iterable[Any], min_rem: int = 20) -> mo.Html:
    """Return items side by side if each gets at least `min_rem` rem, otherwise stacked."""
    cells = "".join(f"<div>{mo.as_html(item).text}</div>" for item in items)
    return mo.Html(f"<div class=rs-grid style='--rs-min:{min_rem}rem'>{cells}</div>")


def badge(text: str, judgement: Judgement) -> mo.Html:
    """Return a short text with a mark and a colour."""
    return mo.Html(
        f"<div><span class='rs-badge {judgement}'>{MARKS[judgement]} {html.escape(text)}</span></div>"
    )


def passed_badge(passed: bool) -> mo.Html:
    """Return the badge of a check."""
    return badge("passed", "good") if passed else badge("failed", "bad")


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> mo.Html:
    """Return a small table that scrolls sideways if it is too wide; cells may be `mo.Html`."""
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in heading)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return mo.Html(
        f"<div class=rs-scroll tabindex=0><table class=rs-table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def column(items: Iterable[Any], gap: float = 0.6) -> mo.Html:
    """Return stacked items; None is skipped."""
    return mo.vstack([item for item in items if item is not None], gap=gap)


def row(items: Iterable[Any]) -> mo.Html:
    """Return items side by side, wrapped if the window is narrow."""
    return mo.hstack(list(items), justify="start", wrap=True)


def code(text: str) -> mo.Html:
    """Return text to copy: one click selects all of it."""
    return mo.Html(f"<pre class=rs-code tabindex=0>{html.escape(text)}</pre>")


def bar(fraction: float, label: str) -> mo.Html:
    """Return a progress bar for a fraction (0-1)."""
    percent = round(100 * min(1.0, max(0.0, fraction)))
    return mo.Html(
        f"<div class=rs-bar role=progressbar aria-valuemin=0 aria-valuemax=100 aria-valuenow={percent} "
        f"aria-label='{html.escape(label, quote=True)}'><div style='width:{percent}%'></div></div>"
        f"<div class=rs-small>{html.escape(label)}</div>"
    )


def notice(
    title: str,
    text: str,
    kind: Literal["neutral", "warn", "danger", "success", "info"],
    below: mo.Html | None = None,
) -> mo.Html:
    """Return a box with a title, plain text, and optionally more below."""
    message = f"<b>{html.escape(title)}</b><p style='white-space:pre-line'>{html.escape(text)}</p>"
    return mo.callout(mo.Html(message + (below.text if below else "")), kind=kind)


def plot(figure: go.Figure) -> mo.Html:
    """Return a figure that is as wide as its container and as high as its layout says."""
    shown = mo.ui.plotly(figure, config={"responsive": True, "displaylogo": False, "displayModeBar": False})
    return mo.Html(f"<div style='height:{figure.layout.height}px'>{shown.text}</div>")


def lazy_plot(title: str, height: int, draw: Callable[[], go.Figure]) -> Panel:
    """Return a placeholder, `height` pixels high, whose figure is drawn when it scrolls into view.

    Figures below the fold then cost nothing, and the server can react to a click on another tab between two
    figures. A window's first figures wait until the user has been idle for a moment (head.html).
    """
    later = mo.lazy(lambda: plot(draw()), show_loading_indicator=True)
    name = html.escape(title, quote=True)
    attributes = f"class=rs-figure role=figure aria-label='{name}' style='min-height:{height}px'"
    return Panel(mo.Html(f"<div {attributes}>{later.text}</div>"), (later,))


def grid_of(panels: Sequence[Panel], min_rem: int = 20) -> Panel:
    """Return panels side by side, as one."""
    view = grid([panel.view for panel in panels], min_rem)
    return Panel(view, tuple(control for panel in panels for control in panel.controls))


def clock(seconds: float) -> str:
    """Return a duration as text, such as `2 min 05 s`."""
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
