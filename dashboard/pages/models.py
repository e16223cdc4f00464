"""Models: the registered versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard.queries.versions import registry_of
from dashboard.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse


def models(request: Request) -> HTMLResponse:
    """Show the versions in a table."""
    return render(request, "models.html", registry=registry_of(request))


routes = [Route("/models", models)]
