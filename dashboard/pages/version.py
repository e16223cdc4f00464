"""A version: its figures, its gate, what changed against the champion, its mistakes and its card."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from dashboard.pages.models import row_of
from dashboard.queries.comparison import differing_settings, version_choice
from dashboard.queries.decision import confident_mistakes
from dashboard.queries.versions import registry_of
from dashboard.rendering import not_found, render
from front_door.state import tracking_uri
from review_sentiment.errors import TrackingError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response

    from dashboard.queries.versions import Registry
    from review_sentiment.tracking.model_versions import ModelVersion

Page = Callable[["Request", "Registry", "ModelVersion"], "Response"]
FIGURES = {
    "natural_accuracy": "accuracy in production",
    "accuracy": "balanced accuracy",
    "f1": "macro-F1",
    "roc_auc": "ROC AUC",
    "calibration_error": "calibration error",
}
"""Tags of a version and the names of the figures in the glossary."""


def of_version(page: Page) -> Callable[[Request], Response]:
    """Give a page the version that its address names; if there is none, the page is not found."""

    @wraps(page)
    def shown(request: Request) -> Response:
        from review_sentiment.tracking import mlflow_store

        registry = registry_of(request, limit=1)
        number = request.path_params["number"]
        version = registry.find(number)
        if version is None:
            text = f"“{registry.model}” has no version {number}. It may have been deleted."
            return not_found(request, f"version {number}", "Models", text)
        with mlflow_store.reaching(tracking_uri()):
            return page(request, registry, version)

    return shown


def render_version(
    request: Request, template: str, registry: Registry, version: ModelVersion, **values: Any
) -> HTMLResponse:
    """Return a page about a version."""
    row = row_of(version, registry)
    return render(request, template, registry=registry, version=version, row=row, **values)


@of_version
def version_page(request: Request, registry: Registry, version: ModelVersion) -> HTMLResponse:
    """Show the headline figures, the gate checks, and what changed against the champion."""
    from dashboard.queries.mlflow_links import links_of

    champion = registry.champion
    other = champion if champion and champion.version != version.version else None
    verdict, problem = _gate(version)
    return render_version(
        request,
        "version.html",
        registry,
        version,
        verdict=verdict,
        problem=problem,
        other=other and row_of(other, registry),
        figures=_figure_rows(version, other) if other else [],
        settings=differing_settings(other, version) if other else None,
        links=links_of(version),
    )


@of_version
def mistakes(request: Request, registry: Registry, version: ModelVersion) -> HTMLResponse:
    """Show the most confident wrong answers."""
    rows, wrong, n = confident_mistakes(version_choice(version, registry))
    return render_version(request, "mistakes.html", registry, version, rows=rows, wrong=wrong, n=n)


@of_version
def card(request: Request, registry: Registry, version: ModelVersion) -> HTMLResponse:
    """Show the model card."""
    from dashboard.markdown import as_html
    from review_sentiment.tracking.evidence import card_of

    return render_version(request, "card.html", registry, version, card=as_html(card_of(version)))


def _gate(version: ModelVersion) -> tuple[dict[str, Any] | None, str]:
    """Return the verdict, or why there is none: the rest of the page does not need it."""
    from review_sentiment.evaluation.comparison import RULES
    from review_sentiment.tracking.evidence import gate_of

    try:
        verdict = gate_of(version)
    except TrackingError as error:
        return None, str(error)
    return verdict | {"rule": RULES[verdict["share"]]}, ""


def _figure_rows(version: ModelVersion, other: ModelVersion) -> list[tuple[str, str, str, str]]:
    """Return the name of each figure, its values for the version and the other one, and the difference."""
    rows = []
    for tag, name in FIGURES.items():
        if tag in version.tags and tag in other.tags:
            new, old = float(version.tags[tag]), float(other.tags[tag])
            rows.append((name, f"{new:.3f}", f"{old:.3f}", f"{new - old:+.3f}"))
    return rows


routes = [
    Route("/models/{number}", version_page),
    Route("/models/{number}/mistakes", mistakes),
    Route("/models/{number}/card", card),
]
