"""The dashboard: a server that renders pages. `python run_pipeline.py ui` starts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard.jobs import Jobs
from dashboard.pages import (
    alternatives,
    compare,
    data,
    decision,
    learn,
    models,
    new_run,
    overview,
    promotion,
    run,
    runs,
    system,
    try_it,
    version,
)
from dashboard.rendering import render
from dashboard.serving import warm_up
from review_sentiment.errors import ReviewSentimentError, first_line

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC = Path(__file__).resolve().parent / "static"
PAGES = (
    overview,
    runs,
    new_run,
    run,
    models,
    promotion,
    version,
    decision,
    alternatives,
    compare,
    try_it,
    data,
    learn,
    system,
)
UNAVAILABLE = 503
SECONDS_OF_FIRST_PAGE = 2.0
"""Until then, the process of slow work takes no time from the browser that opens."""


def build_app(warm: bool = False) -> Starlette:
    """Return the application, without access control; a warm one starts its process of slow work."""
    return Starlette(
        routes=[
            Route("/static/plotly.min.js", plotly_script),
            Mount("/static", StaticFiles(directory=STATIC)),
            *(route for page in PAGES for route in page.routes),
        ],
        exception_handlers={
            HTTPException: missing_page,
            ReviewSentimentError: problem_page,
            Exception: bug_page,
        },
        lifespan=partial(_with_jobs, warm=warm),
    )


def plotly_script(_: Request) -> FileResponse:
    """Return the script of the installed plotly, which the figures are made with."""
    import plotly

    file = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return FileResponse(file, headers={"cache-control": "max-age=86400"})


def missing_page(request: Request, error: Exception) -> HTMLResponse:
    """Show that an address leads nowhere."""
    assert isinstance(error, HTTPException)
    text = f"There is no page at {request.url.path}."
    return render(
        request, "message.html", error.status_code, title="Not found", text=text, links={"Overview": "/"}
    )


def problem_page(request: Request, error: Exception) -> HTMLResponse:
    """Show what a page needs and does not get, such as the MLflow store."""
    links = {"Try again": str(request.url), "System": "/system"}
    return render(request, "message.html", UNAVAILABLE, title="Not available", text=str(error), links=links)


def bug_page(request: Request, error: Exception) -> HTMLResponse:
    """Show that something failed that should not; the server logs the traceback."""
    found = f"{type(error).__name__}: {first_line(error)}"
    text = f"This is a bug in the dashboard: {found}\nThe log has the details."
    links = {"Try again": str(request.url), "Overview": "/"}
    return render(request, "message.html", 500, title="Something went wrong", text=text, links=links)


@asynccontextmanager
async def _with_jobs(app: Starlette, warm: bool) -> AsyncIterator[None]:
    app.state.jobs = Jobs()
    if warm:
        asyncio.get_running_loop().call_later(
            SECONDS_OF_FIRST_PAGE, app.state.jobs.ask, "computations", "warm-up", warm_up.computations
        )
    try:
        yield
    finally:
        app.state.jobs.close()
