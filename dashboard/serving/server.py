"""The dashboard's server: marimo's app behind checks of who asks, on loopback unless told otherwise.

A page elsewhere can make a browser send requests here. So the Host must be one that this
server was started for (against DNS rebinding), and an Origin, which browsers send with a
WebSocket and with what changes something, must be the server's own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

APP = Path(__file__).resolve().parents[1] / "app.py"
GRACE_SECONDS = 2
"""That open pages are waited for when the server ends."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GUARDED = "REVIEW_SENTIMENT_DASHBOARD_GUARDED"
"""Variable that tells the app that this server is in front of it."""
HEADERS = {
    # marimo's pages have scripts and styles of their own in line, and Plotly compiles functions.
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every answer: a page may load from this server only, and be in no other's frame."""


class Guard:
    """Refuses requests whose Host or Origin is not this server's; adds `HEADERS` to the others."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        """Let requests for these names and addresses through to the app."""
        self._app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        problem = self.refuses(dict(scope["headers"]))
        if problem:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse(problem, status_code=403)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def refuses(self, headers: dict[bytes, bytes]) -> str:
        """Return why a request with these headers is refused, or an empty text."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _name_of(host) not in self._hosts:
            return f"The host {host[:100]!r} is not this server. Open the address that it printed."
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() != host:
            return "This request comes from another site's page."
        return ""


def build_app(hosts: Sequence[str], token: str) -> ASGIApp:
    """Return the dashboard for requests to these hosts; an empty token asks for none."""
    import marimo

    # marimo reads the theme from the pyproject.toml of the working directory.
    with contextlib.chdir(APP.parent.parent):
        builder = marimo.create_asgi_app(quiet=True, include_code=False, token=token, skew_protection=True)
        return Guard(builder.with_app(path="/", root=str(APP)).build(), hosts)


def serve(host: str, port: int, names: Sequence[str]) -> None:
    """Serve the dashboard until Ctrl-C, and say which address to open once its pages answer quickly.

    Bound elsewhere than to loopback it asks for a token, which is part of the printed address;
    `names` are further names that it may be asked by.

    Raises:
        UsageError: the port is taken or the host is not this machine's.
    """
    import uvicorn

    from dashboard.serving import warm_up

    taken = _listen(host, port)
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    hosts = [*LOOPBACK, host, *names] + ([] if is_loopback(host) else _own_names())
    os.environ[GUARDED] = "yes"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    shown = f"[{host}]" if ":" in host else host
    if is_unspecified(host):
        shown = socket.gethostname()
    address = f"http://{shown}:{taken.getsockname()[1]}/" + (f"?access_token={token}" if token else "")
    app = build_app(hosts, token)
    click.echo("The dashboard is starting (some seconds).", err=True)
    warm_up.before_serving()
    click.echo(f"dashboard   {address}\nCtrl-C ends it; runs that it started go on.", err=True)
    config = uvicorn.Config(
        app,
        access_log=False,  # the first address has the token
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[taken])


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine for itself alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_unspecified(host: str) -> bool:
    """Tell whether a host stands for all addresses of the machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen()  # who comes before the server is ready waits
    except OSError as error:
        raise UsageError(f"--host {host} --port {port}: {error.strerror}. Try --port {port + 1}.") from error
    return found


def _own_names() -> list[str]:
    """Return the names and addresses that other machines may ask this one by."""
    import psutil

    addresses = [address.address for cards in psutil.net_if_addrs().values() for address in cards]
    return [socket.gethostname(), socket.getfqdn(), *addresses]


def _name_of(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
