"""Runs: all runs of the store, with their outcome; filter, search, sort, and one curve of several runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard.queries.curves import curves_of, overlay
from dashboard.queries.runs import PAGE, SORTS, RunList, chosen, outcomes, read_runs
from dashboard.queries.zenml_store import stored_settings
from dashboard.rendering import render
from dashboard.runs.outcome import STATUS_WORDS
from review_sentiment.config import Settings
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.training.curves import CURVES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

STATUSES = ("running", "completed", "failed", "interrupted", "lost")
MAX_PICKED = 6
"""Lines in one plot that can be told apart."""


def runs(request: Request) -> HTMLResponse:
    """Show a page of runs."""
    asked = request.query_params
    status, search, sort = asked.get("status", ""), asked.get("q", ""), asked.get("sort", "")
    listed = read_runs(request)
    found = chosen(listed.runs, status, search, sort)
    pages = max(1, -(-len(found) // PAGE))
    page = min(pages, max(1, int(number) if (number := asked.get("page", "1")).isdecimal() else 1))
    shown = found[(page - 1) * PAGE : page * PAGE]
    picked = asked.getlist("pick")[:MAX_PICKED]
    curve = name if (name := asked.get("curve", "")) in CURVES else "loss"
    figure, problem = _overlay(listed, picked, curve)
    return render(
        request,
        "runs.html",
        listed=listed,
        found=len(found),
        runs=shown,
        outcomes=outcomes(shown),
        chosen_status=status,
        search=search,
        sort=sort,
        page=page,
        pages=pages,
        addresses={number: f"?{_with_page(asked.multi_items(), number)}" for number in (page - 1, page + 1)},
        statuses={name: STATUS_WORDS.get(name, name) for name in STATUSES},
        sorts=SORTS,
        picked=picked,
        elsewhere=[name for name in picked if name not in {run.name for run in shown}],
        curve=curve,
        curves=CURVES,
        figure_of_picked=figure,
        curve_problem=problem,
        max_picked=MAX_PICKED,
    )


def experiment_of(settings: Mapping[str, str]) -> str:
    """Return the MLflow experiment of a run with these settings."""
    return settings.get("tracking.experiment") or Settings().tracking.experiment


def _overlay(listed: RunList, picked: Sequence[str], curve: str) -> tuple[go.Figure | None, str]:
    """Return the figure with a curve of the picked runs, or why there is none."""
    known = [run for name in picked if (run := listed.find(name))]
    if not known:
        return None, ""
    try:
        settings = stored_settings([run.name for run in known])
        found = {
            run.title: curves[curve]
            for run in known
            if curve in (curves := curves_of(run, experiment_of(settings.get(run.name, {}))))
        }
    except ReviewSentimentError as error:
        return None, str(error)
    if not found:
        return None, f"None of the selected runs recorded the {CURVES[curve]}."
    return overlay(curve, found), ""


def _with_page(items: Sequence[tuple[str, str]], page: int) -> str:
    from urllib.parse import urlencode

    return urlencode([*(item for item in items if item[0] != "page"), ("page", str(page))])


routes = [Route("/runs", runs)]
