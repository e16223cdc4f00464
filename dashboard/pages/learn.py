"""Learn: how LoRA and quantisation work, shown on this project's own weights and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from markupsafe import Markup
from starlette.routing import Route

from dashboard.explain.glossary import GATE_CHECKS, METRICS, MODELS, STEPS
from dashboard.explain.rank_choice import RankSweep, rank_sweep
from dashboard.figures import Line, bars, heatmap, histogram_with_levels, lines
from dashboard.queries.learned import Learned, Rounding, learned, rounding
from dashboard.queries.versions import registry_of
from dashboard.rendering import figure_element, not_found, render

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.jobs import Kind

Found = TypeVar("Found")
GLOSSARY = {"Models": MODELS, "Metrics": METRICS, "Gate checks": GATE_CHECKS, "Steps of a run": STEPS}
KIND: Kind = "computations"


@dataclass(frozen=True)
class Shown(Generic[Found]):
    """What a job found, and its figures as HTML: drawing takes longer than a page may."""

    found: Found
    figures: Sequence[Markup]


def learn(request: Request) -> HTMLResponse:
    """Show the page; what has to be computed first follows."""
    registry, typed = registry_of(request), request.query_params
    number = typed.get("version", "")
    version = registry.find(number) if number else next(iter(registry.offered()), None)
    if number and version is None:
        return not_found(request, f"version {number}", "Learn", "This version is not registered.")
    ask, weight = request.app.state.jobs.ask, typed.get("weight", "")
    values: dict[str, Any] = {
        "rounding": ask(KIND, ("rounding", weight), show_rounding, weight),
        "sweep": ask(KIND, "sweep", show_ranks),
    }
    if version:
        of = (version.name, version.version)
        chosen = tuple(typed.get(name, "") for name in ("projection", "layer", "kept"))
        values["learned"] = ask(KIND, ("learned", *of, *chosen), show_update, *of, *chosen)
    return render(
        request,
        "learn.html",
        registry=registry,
        version=version,
        glossary=GLOSSARY,
        **values,
    )


def show_update(name: str, number: str, projection: str, layer: str, kept: str) -> Shown[Learned]:
    """Return an update of a version, with figures of it."""
    found = learned(name, number, projection, layer, kept)
    return Shown(found, [figure_element(place, drawn) for place, drawn in _update_figures(found).items()])


def show_rounding(weight: str) -> Shown[Rounding]:
    """Return how a weight is rounded, with a figure of it."""
    found = rounding(weight)
    return Shown(found, [figure_element("levels", _rounding_figure(found))])


def show_ranks() -> Shown[RankSweep]:
    """Return a sweep over the rank, with a figure of it."""
    found = rank_sweep()
    return Shown(found, [figure_element("ranks", _rank_figure(found))])


def _update_figures(found: Learned) -> dict[str, go.Figure]:
    """Return the figures of an update by their names on the page."""
    values = found.spectra[found.layer]
    spectra = np.stack([found.spectra[number] for number in sorted(found.spectra)])
    heights = {str(number): float(value) for number, value in enumerate(values, start=1)}
    return {
        "spectra": heatmap(
            f"Singular values of {found.projection} by layer", "Direction", "Layer", spectra, first_column=1
        ),
        "values": bars(f"Singular values of layer {found.layer}", "Direction", "", heights),
        "update-picture": heatmap("The update", "In", "Out", found.update, signed=True),
        "truncated": heatmap(
            f"With {found.kept} of its directions", "In", "Out", found.truncated, signed=True
        ),
    }


def _rounding_figure(found: Rounding) -> go.Figure:
    axis = "Weight divided by its block's largest magnitude"
    return histogram_with_levels(found.name, axis, found.fractions, found.edges, found.levels)


def _rank_figure(sweep: RankSweep) -> go.Figure:
    """Draw the score by rank, with the range of the trials of each rank."""
    line = Line(
        "macro-F1",
        [one.rank for one in sweep.results],
        [one.macro_f1 for one in sweep.results],
        [one.min_f1 for one in sweep.results],
        [one.max_f1 for one in sweep.results],
    )
    figure = lines(
        "Macro-F1 on validation reviews: mean and range of the trials", "Rank", "", [line], height=320
    )
    return figure.update_xaxes(type="log", tickvals=line.x)


routes = [Route("/learn", learn)]
