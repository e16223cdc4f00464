"""Overview: the champion, the newest runs, and what needs attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from dashboard.queries.versions import registry_of
from dashboard.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse


def overview(request: Request) -> HTMLResponse:
    """Show what somebody wants to know first."""
    return render(request, "overview.html", registry=registry_of(request))


routes = [Route("/", overview)]
