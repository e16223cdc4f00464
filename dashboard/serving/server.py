"""The dashboard's server: its addresses, and what it loads before it answers."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence

import uvicorn

from dashboard.app import build_app
from dashboard.serving import warm_up
from dashboard.serving.access import TOKEN_PARAMETER, guard
from front_door.commands.servers import GRACE_SECONDS
from review_sentiment.errors import UsageError

ADDRESS_BYTES = 1 << 16
"""The longest address with its headers: Try it has a review in it."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(host: str, door: socket.socket, names: Sequence[str], show: Callable[[str], None]) -> None:
    """Serve the dashboard at a listening socket, and `show` its address once its pages load quickly.

    Unless it is bound to loopback it needs a token, which is part of the printed address; `names` are
    additional host names to accept.

    Raises:
        UsageError: a name is a pattern.
    """
    if any("*" in name for name in names):  # TrustedHostMiddleware would accept every host that matches
        raise UsageError("--name takes a host name, not a pattern.")
    token, hosts = "", [*LOOPBACK, host, *names]
    if not is_loopback(host):
        token = secrets.token_urlsafe(24)
        hosts += _own_names()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    shown = socket.gethostname() if host in {"0.0.0.0", "::"} else _in_url(host)
    address = f"http://{shown}:{door.getsockname()[1]}/" + (f"?{TOKEN_PARAMETER}={token}" if token else "")
    app = guard(build_app(warm=True), [_in_url(name) for name in hosts], token)
    warm_up.before_serving()
    show(f"dashboard   {address}\nCtrl-C stops it; runs that it started continue.")
    config = uvicorn.Config(
        app,
        access_log=False,  # the first address contains the token
        log_config=None,
        h11_max_incomplete_event_size=ADDRESS_BYTES,
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
