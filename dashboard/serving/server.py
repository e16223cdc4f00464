"""The dashboard's server: marimo's app behind a check of every request's Host and Origin.

A page of another site can make a browser send requests here. Starlette's TrustedHostMiddleware therefore
accepts only the host names that this server was started with (against DNS rebinding). The Origin, which
browsers send with WebSockets and with requests that change something, must be the server's own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from front_door.commands.servers import GRACE_SECONDS
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

APP = Path(__file__).resolve().parents[1] / "app.py"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GUARDED = "REVIEW_SENTIMENT_DASHBOARD_GUARDED"
"""Environment variable that tells the app that it runs behind this server."""
HEADERS = {
    # marimo's pages contain inline scripts and styles, and Plotly compiles functions.
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Set in every response: a page loads from this server only, and no other site can frame it."""


class OriginCheck:
    """Refuses requests from other sites' pages, and sets `HEADERS` in the responses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        from starlette.datastructures import Headers, MutableHeaders
        from starlette.responses import PlainTextResponse

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
            refusal = PlainTextResponse("This request comes from another site's page.", status_code=403)
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send_with_headers)


def guard(app: ASGIApp, hosts: Sequence[str]) -> ASGIApp:
    """Let only requests for these host names and addresses, from the server's own pages, reach the app."""
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    return TrustedHostMiddleware(OriginCheck(app), [_in_url(host) for host in hosts], www_redirect=False)


def build_app(hosts: Sequence[str], token: str) -> ASGIApp:
    """Return the dashboard for requests to these hosts; if the token is empty, none is needed."""
    import marimo

    # marimo reads the theme from the pyproject.toml of the working directory.
    with contextlib.chdir(APP.parent.parent):
        builder = marimo.create_asgi_app(quiet=True, include_code=False, token=token, skew_protection=True)
        return guard(builder.with_app(path="/", root=str(APP)).build(), hosts)


def serve(host: str, door: socket.socket, names: Sequence[str], show: Callable[[str], None]) -> None:
    """Serve the dashboard at a listening socket, and `show` its address once its pages load quickly.

    Unless it is bound to loopback it needs a token, which is part of the printed address; `names` are
    additional host names to accept.

    Raises:
        UsageError: a name is a pattern.
    """
    import uvicorn

    from dashboard.serving import warm_up

    if any("*" in name for name in names):  # TrustedHostMiddleware would accept every host that matches
        raise UsageError("--name takes a host name, not a pattern.")
    token, hosts = "", [*LOOPBACK, host, *names]
    if not is_loopback(host):
        token = secrets.token_urlsafe(24)
        hosts += _own_names()
    os.environ[GUARDED] = "yes"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    shown = socket.gethostname() if host in {"0.0.0.0", "::"} else _in_url(host)
    address = f"http://{shown}:{door.getsockname()[1]}/" + (f"?access_token={token}" if token else "")
    app = build_app(hosts, token)
    warm_up.before_serving()
    show(f"dashboard   {address}\nCtrl-C stops it; runs that it started continue.")
    config = uvicorn.Config(
        app,
        access_log=False,  # the first address contains the token
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[door])


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host's address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _own_names() -> list[str]:
    """Return the names and addresses under which other machines can reach this one."""
    import psutil

    addresses = [address.address for cards in psutil.net_if_addrs().values() for address in cards]
    return [socket.gethostname(), socket.getfqdn(), *addresses]


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
