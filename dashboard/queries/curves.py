"""The training curves of runs, which their trainings log to MLflow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

from dashboard.figures import Line, lines
from dashboard.queries.versions import store_exists, use_mlflow
from dashboard.rendering import capitalised
from review_sentiment.training.curves import CURVES

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from dashboard.queries.runs import Run
    from review_sentiment.tracking.recorded_runs import Curve

LIVE_SECONDS = 10.0
"""How long the curves of a run in progress are kept. Drawing them every 2 s slowed down a training run on two
cores by a quarter, because browser and server share the cores with it."""
KEPT_SECONDS = 300.0
"""The same for a run that has ended: it may be resumed."""
HEIGHT, TALL = 230, 420
"""Of figures with one and with several curves, in pixels."""
SLACK_SECONDS = 60.0
"""MLflow's times and ZenML's are of different moments of a run."""


def curves_of(run: Run, experiment: str) -> Mapping[str, Curve]:
    """Return the curves of a run's training; none if it has not trained.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    return _curves(*_source(run, experiment)) if store_exists() else {}


def drawn_curves(run: Run, experiment: str) -> Mapping[str, go.Figure]:
    """Return a figure of each curve of a run's training.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    return _drawn(*_source(run, experiment)) if store_exists() else {}


def _source(run: Run, experiment: str) -> tuple[str, str, float, float, float]:
    """Return where a run's curves are: experiment, MLflow's run if known, times, and when to read anew."""
    result = (run.local.end or {}).get("result") or {} if run.local else {}
    known = (result.get("mlflow") or {}).get("run_id", "")
    until = inf if run.in_progress else run.since + (run.seconds or 0.0) + SLACK_SECONDS
    age = time.time() // (LIVE_SECONDS if run.in_progress else KEPT_SECONDS)
    return experiment, known, run.since, until, age


@lru_cache(64)
def _curves(
    experiment: str,
    known: str,
    since: float,
    until: float,
    age: float,  # noqa: ARG001 - older curves are read anew
) -> Mapping[str, Curve]:
    from review_sentiment.tracking.recorded_runs import recorded_curves, run_of_training

    use_mlflow()
    run_id = known or run_of_training(experiment, since, until)
    return recorded_curves(run_id) if run_id else {}


@lru_cache(64)
def _drawn(experiment: str, known: str, since: float, until: float, age: float) -> Mapping[str, go.Figure]:
    curves = _curves(experiment, known, since, until, age)
    return {name: overlay(name, {name: curve}) for name, curve in curves.items()}


def overlay(name: str, curves: Mapping[str, Curve]) -> go.Figure:
    """Return one of `CURVES` of several runs in one figure."""
    shown: Sequence[Line] = [Line(title, curve.steps, curve.values) for title, curve in curves.items()]
    return lines(
        capitalised(CURVES[name]),
        "Optimizer step",
        "",
        shown,
        height=HEIGHT if len(shown) <= 1 else TALL,
    )
