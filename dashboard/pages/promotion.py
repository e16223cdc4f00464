"""Change the champion: a page that names what happens, and a button that does it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import RedirectResponse
from starlette.routing import Route

from dashboard.pages.version import of_version, render_version
from dashboard.queries.versions import MODEL_PARAMETER, registry_of
from dashboard.rendering import render
from front_door.state import tracking_uri
from review_sentiment.errors import TrackingError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.queries.versions import Registry
    from review_sentiment.tracking.model_versions import ModelVersion

SEEN_PARAMETER = "instead_of"
"""Version that the page named as the champion, empty if there was none."""
CONFLICT = 409


@of_version
def promote(request: Request, registry: Registry, version: ModelVersion) -> Response:
    """Ask before a promotion, or do it unless the champion has changed since the page was shown."""
    from review_sentiment.tracking import aliases

    changed = False
    if request.method == "POST":
        if request.query_params.get(SEEN_PARAMETER, "") == _number(registry):
            aliases.make_champion(version.name, version.version)
            return _to_version(registry, version.version)
        changed = True
    page = render_version(
        request,
        "promote.html",
        registry,
        version,
        failed=_failed_checks(version),
        changed=changed,
        confirm=registry.parameters(**{SEEN_PARAMETER: _number(registry)}),
    )
    page.status_code = CONFLICT if changed else 200
    return page


def roll_back(request: Request) -> Response:
    """Ask before a rollback, or do it unless the champion has changed since the page was shown."""
    from review_sentiment.tracking import aliases, mlflow_store

    registry = registry_of(request, limit=1)
    changed = False
    if request.method == "POST" and registry.previous_champion:
        if request.query_params.get(SEEN_PARAMETER, "") == _number(registry):
            with mlflow_store.reaching(tracking_uri()):
                return _to_version(registry, aliases.roll_back(registry.model))
        changed = True
    confirm = registry.parameters(**{SEEN_PARAMETER: _number(registry)})
    status = CONFLICT if changed else 200
    return render(request, "rollback.html", status, registry=registry, changed=changed, confirm=confirm)


def _to_version(registry: Registry, number: str) -> Response:
    address = f"/models/{number}"
    if parameters := registry.parameters():
        address += f"?{urlencode({MODEL_PARAMETER: parameters[MODEL_PARAMETER]})}"
    return RedirectResponse(address, 303)


def _number(registry: Registry) -> str:
    return registry.champion.version if registry.champion else ""


def _failed_checks(version: ModelVersion) -> list[dict[str, str]] | None:
    """Return the gate checks that failed, or None if they are no longer known."""
    from review_sentiment.tracking.evidence import gate_of

    try:
        return [check for check in gate_of(version)["checks"] if not check["passed"]]
    except TrackingError:
        return None


routes = [
    Route("/models/rollback", roll_back, methods=["GET", "POST"]),
    Route("/models/{number}/promote", promote, methods=["GET", "POST"]),
]
