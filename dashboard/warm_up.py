"""What pages need and takes seconds to import, loaded while nobody waits for it."""

from __future__ import annotations

import logging
from functools import cache
from threading import Thread

import marimo as mo

from dashboard.layout import Shown, plot
from front_door.state import tracking_uri
from review_sentiment.errors import ReviewSentimentError

LEAST_HEIGHT = 10
"""Pixels of a figure that Plotly takes."""
logger = logging.getLogger(__name__)


@cache
def begin() -> None:
    """Warm up beside what goes on, once a process."""
    Thread(target=warm_up, name="warm-up", daemon=True).start()


def unseen_figure() -> Shown:
    """Return a figure that nobody sees: with its first one a browser loads Plotly, up to a second.

    The browser asks for it when the page stands.
    """
    later = mo.lazy(_empty_figure)
    return Shown(mo.Html(f"<div class=rs-unseen aria-hidden=true>{later.text}</div>"), (later,))


def _empty_figure() -> mo.Html:
    import plotly.graph_objects as go

    return plot(go.Figure(layout={"height": LEAST_HEIGHT}))


def warm_up() -> None:
    """Import plotly, MLflow and torch, in the order in which pages want them; make MLflow's first query."""
    import plotly.graph_objects  # noqa: F401

    from dashboard.versions import store_is_made
    from review_sentiment import registry, tracking  # noqa: F401

    try:
        if store_is_made():
            tracking.configure(tracking_uri())
    except ReviewSentimentError as error:
        logger.warning("%s", error)  # the pages that need MLflow say it
    import torch  # noqa: F401
    from sklearn import metrics  # noqa: F401

    from review_sentiment import models  # noqa: F401
