"""Who may use the dashboard: requests from its own pages and, beyond this machine, with its token.

A page of another site can make a browser send requests here. Starlette's TrustedHostMiddleware therefore
accepts only the host names that this server was started with (against DNS rebinding), and the Origin, which
browsers send with requests that change something, must be the server's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_PARAMETER = "access_token"
HEADERS = {
    # Plotly sets styles of elements.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'; object-src 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Set in every response: a page loads from this server only, and no other site can frame it."""


class AccessCheck:
    """Refuses requests from other sites' pages or without the token, and sets `HEADERS` in the responses."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that must not reach the app, or None."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.headers["host"].lower():
            return PlainTextResponse("This request comes from another site's page.", status_code=403)
        if not self._token or _same(request.cookies.get(_cookie(request), ""), self._token):
            return None
        if _same(request.query_params.get(TOKEN_PARAMETER, ""), self._token):
            # Without the token in the address, which people copy.
            answer = RedirectResponse(request.url.remove_query_params(TOKEN_PARAMETER), status_code=303)
            answer.set_cookie(_cookie(request), self._token, httponly=True, samesite="strict")
            return answer
        return PlainTextResponse(
            "This dashboard needs its token: open the address that `python run_pipeline.py ui` printed.", 401
        )


def guard(app: ASGIApp, hosts: Sequence[str], token: str) -> ASGIApp:
    """Let only requests for these host names, from the server's own pages and with the token, reach the app."""
    return TrustedHostMiddleware(AccessCheck(app, token), list(hosts), www_redirect=False)


def _cookie(request: Request) -> str:
    """Return the cookie's name: browsers send cookies to all ports of a host."""
    return f"review_sentiment_{request.url.port or 'default'}"


def _same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode(), expected.encode())
