"""A version's decision rule: what it does in production, and what another threshold would do."""

from __future__ import annotations

import shlex
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard import figures
from dashboard.pages.version import of_version, render_version
from dashboard.queries.comparison import version_choice
from dashboard.queries.decision import (
    LEAST_COVERAGE,
    THOUSAND,
    effect_rows,
    figure_rows,
    label_rows,
    read_decision,
    reliability_lines,
    risk_lines,
    threshold_lines,
)
from dashboard.rendering import figure_element
from review_sentiment.names import shortened

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.figures import Line
    from dashboard.queries.comparison import Choice
    from dashboard.queries.versions import Registry
    from review_sentiment.tracking.model_versions import ModelVersion

NO_THRESHOLD = 0.5
"""Where the slider starts if the rule has no threshold for the label."""
VERSIONS_KEPT = 8


@of_version
def decision(request: Request, registry: Registry, version: ModelVersion) -> HTMLResponse:
    """Show the rule's figures, the effect of a threshold, and the curves behind them."""
    choice = version_choice(version, registry)
    found = read_decision(choice)
    own = found.reviews.own_threshold
    threshold, problem = _threshold(request, NO_THRESHOLD if own is None else own)
    shown = {f"From {threshold:.3g} on": threshold}
    if own is not None:
        shown[f"The rule: from {own:.3g} on"] = own
    return render_version(
        request,
        "decision.html",
        registry,
        version,
        found=found,
        threshold=threshold,
        problem=problem,
        figure_rows=figure_rows(found),
        label_rows=label_rows(found.natural),
        effect_heading=[f"Of {THOUSAND:,} reviews", *shown],
        effects=effect_rows(found.reviews, list(shown.values())),
        target=shlex.quote(f"{found.reviews.label}=0.9"),
        plots=_plots(choice),
    )


def _threshold(request: Request, default: float) -> tuple[float, str]:
    """Return the threshold that an address names, and what is wrong with it."""
    text = request.query_params.get("threshold", "")
    if not text:
        return default, ""
    try:
        value = float(text)
    except ValueError:
        return default, f"“{text}” is not a number."
    if not isfinite(value) or not 0 < value < 1:
        return default, f"A threshold is between 0 and 1, not {text}."
    return value, ""


@lru_cache(VERSIONS_KEPT)
def _plots(choice: Choice) -> list[Markup]:
    """Draw the curves as HTML: they stay the same while a threshold is moved."""
    found = read_decision(choice)
    label = shortened(found.reviews.label)
    reliability = figures.unit_square(
        f"Reliability of “{label}”",
        "Predicted probability",
        "Fraction of reviews",
        reliability_lines(found.reviews),
    )
    shown = {
        "reliability": reliability,
        "thresholds": _by_threshold(f"Threshold for “{label}”", threshold_lines(found.reviews)),
        "coverage": _by_coverage("Risk by coverage", risk_lines(found)),
    }
    return [figure_element(name, figure) for name, figure in shown.items()]


def _by_threshold(title: str, shown: list[Line]) -> go.Figure:
    figure = figures.lines(title, "Threshold", "", shown, height=figures.SQUARE_HEIGHT)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def _by_coverage(title: str, shown: list[Line]) -> go.Figure:
    figure = figures.lines(title, "Coverage", "Wrong among answered", shown, height=figures.SQUARE_HEIGHT)
    figure.update_xaxes(range=[LEAST_COVERAGE, 1.01], tickformat=".0%")
    figure.update_yaxes(rangemode="tozero", tickformat=".1%")
    return figure


routes = [Route("/models/{number}/decision", decision)]
