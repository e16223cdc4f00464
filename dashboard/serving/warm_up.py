"""Imports and measurements that take seconds, done before anybody waits for a page."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module
from threading import Thread

from dashboard.queries.versions import default_model, read_registry, store_exists
from dashboard.queries.zenml_store import stored_runs
from dashboard.rendering import environment
from front_door.state import SQLITE, tracking_uri
from review_sentiment.config import Settings
from review_sentiment.errors import ReviewSentimentError

MODULES = (
    "dashboard.figures",
    "review_sentiment.tracking.model_versions",
    "review_sentiment.tracking.evidence",
    "review_sentiment.tracking.recorded_runs",
)
COMPUTATION_MODULES = (
    "dashboard.queries.compared",
    "front_door.run.estimate",
    "review_sentiment.tracking.evidence",
    "scipy.stats",
    "sklearn.metrics",
    "sklearn.calibration",
)
logger = logging.getLogger(__name__)


@cache
def start_in_background() -> None:
    """Warm up in a thread, once per process."""
    Thread(target=warm_up, name="warm-up", daemon=True).start()


def before_serving() -> None:
    """Warm up; a store on another machine, which may be slow, is queried in the background."""
    load()
    if "://" in tracking_uri() and not tracking_uri().startswith(SQLITE):
        start_in_background()
    else:
        warm_up()


@cache
def warm_up() -> None:
    """Load what pages need and read the stores, once per process.

    It takes seconds of processor time, during which pages of the same process would be slow.
    """
    load()
    read_overview()


def computations() -> bool:
    """Load what slow computations need, in their own process: the first one would take 5 s longer."""
    for module in COMPUTATION_MODULES:
        import_module(module)
    query_mlflow()
    measure_speed(Settings())
    return True


@cache
def load() -> None:
    """Import what pages need, once."""
    for module in MODULES:
        import_module(module)


def measure_speed(settings: Settings) -> None:
    """Measure the processor's speed for the estimate of New run; a GPU's memory is left to trainings."""
    import torch

    from front_door.run.estimate import estimate_here

    if torch.cuda.is_available():
        return
    try:
        estimate_here(settings)
    except ReviewSentimentError as error:
        logger.warning("%s", error)  # New run shows it too


def read_overview() -> None:
    """Read what the first page shows, which is kept: 0.7 s with 2,000 runs and 500 versions.

    The first query of MLflow imports more modules.
    """
    try:
        read_registry(default_model())
        stored_runs()
    except ReviewSentimentError as error:
        logger.warning("%s", error)  # the page shows it too
    environment().get_template("overview.html")


def query_mlflow() -> None:
    """Make the first query of MLflow, if there is a store."""
    from review_sentiment.tracking import mlflow_store

    try:
        if store_exists():
            mlflow_store.configure(tracking_uri())
    except ReviewSentimentError as error:
        logger.warning("%s", error)  # the pages that need MLflow show it too
