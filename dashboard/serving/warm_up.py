"""What pages need and takes seconds to import, loaded before anybody waits for a page."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.queries.versions import SQLITE, store_exists
from dashboard.widgets.layout import Panel, plot
from front_door.stack.configs import DEFAULT_STACK
from front_door.state import tracking_uri
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from review_sentiment.config import Settings

MODULES = (
    "dashboard.pages.machine",
    "dashboard.pages.configure",
    "dashboard.pages.run_controls",
    "front_door.run.estimate",
    "torch",
    "dashboard.pages.compare",
    "dashboard.pages.models",
    "review_sentiment.tracking.model_versions",
    "review_sentiment.tracking.recorded_runs",
    "sklearn.metrics",
    "sklearn.calibration",
)
"""In the order of the tabs that need them."""
LEAST_HEIGHT = 10
"""Pixels of a figure that Plotly takes."""
logger = logging.getLogger(__name__)


@cache
def start_in_background() -> None:
    """Warm up beside what goes on, once a process."""
    Thread(target=warm_up, name="warm-up", daemon=True).start()


def unseen_figure() -> Panel:
    """Return a figure that nobody sees: with its first one a browser loads Plotly, up to a second.

    The browser asks for it when the page stands and nobody presses anything (head.html).
    """
    later = mo.lazy(_empty_figure)
    return Panel(mo.Html(f"<div class=rs-unseen aria-hidden=true>{later.text}</div>"), (later,))


def _empty_figure() -> mo.Html:
    import plotly.graph_objects as go

    return plot(go.Figure(layout={"height": LEAST_HEIGHT}))


@cache
def warm_up() -> None:
    """Load once a process what pages need, and make MLflow's first query.

    It keeps the processor busy for 5 s, in which pages of the same process would answer slowly.
    """
    load()
    ask_mlflow()


def before_serving() -> None:
    """Warm up; a store on another machine, which may take long to answer, is asked beside what goes on."""
    if "://" in tracking_uri() and not tracking_uri().startswith(SQLITE):
        load()
        start_in_background()
    else:
        warm_up()


@cache
def load() -> None:
    """Import what pages need, read what all of them begin with and measure the processor's speed; once."""
    from dashboard.settings_form import DEFAULT_CONFIG, read_form

    for module in MODULES:
        import_module(module)
    if settings := read_form(DEFAULT_CONFIG, DEFAULT_STACK, {}).settings:
        measure_speed(settings)


def measure_speed(settings: Settings) -> None:
    """Measure the speed that Configure's estimate begins with; a GPU's memory is left to those who train."""
    import torch

    from front_door.run.estimate import estimate_here

    if torch.cuda.is_available():
        return
    try:
        estimate_here(settings)
    except ReviewSentimentError as error:
        logger.warning("%s", error)  # Configure says it


def ask_mlflow() -> None:
    """Make MLflow's first query, where there is a store: it imports more."""
    from review_sentiment.tracking import mlflow_store

    try:
        if store_exists():
            mlflow_store.configure(tracking_uri())
    except ReviewSentimentError as error:
        logger.warning("%s", error)  # the pages that need MLflow say it
