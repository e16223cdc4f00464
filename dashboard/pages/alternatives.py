"""Alternatives to a version: simpler models and students, by accuracy and speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard.figures import pareto
from dashboard.pages.version import of_version, render_version
from dashboard.queries.alternatives import alternatives_of
from dashboard.queries.comparison import beside, version_choice

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.queries.versions import Registry
    from review_sentiment.tracking.model_versions import ModelVersion


@of_version
def alternatives(request: Request, registry: Registry, version: ModelVersion) -> HTMLResponse:
    """Show accuracy, speed and size of the version, the models beside it, and its students."""
    from review_sentiment.evaluation.tradeoff import pareto_front, tradeoff_table

    found = alternatives_of(version)
    chosen = version_choice(version, registry)
    compared = [chosen, *beside(chosen), *(version_choice(one, registry) for one in found.students.values())]
    return render_version(
        request,
        "alternatives.html",
        registry,
        version,
        found=found,
        rows=tradeoff_table(found.tradeoffs),
        front=len(pareto_front(found.tradeoffs)),
        plot=pareto(found.tradeoffs) if found.tradeoffs else None,
        compared=[one.key for one in compared],
    )


routes = [Route("/models/{number}/alternatives", alternatives)]
