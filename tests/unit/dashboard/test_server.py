"""Who may ask the dashboard: its own page on its own address, and elsewhere only with the token."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from dashboard.serving.server import Guard, build_app, is_loopback

pytest.importorskip("marimo")
HOSTS = ("127.0.0.1", "localhost")


async def ask(
    app: Any, kind: str, path: str = "/", query: str = "", **headers: str
) -> tuple[int, dict[str, str]]:
    """Send one request; return status and headers of the answer, 101 for a WebSocket that is accepted."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
        "extensions": {"websocket.http.response": {}},
        "subprotocols": [],
    }

    async def receive() -> dict[str, Any]:
        if kind == "http":
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(scope, receive, send)
    start = sent[0]
    if start["type"].startswith("websocket.") and "status" not in start:
        return {"websocket.accept": 101, "websocket.close": 403}[start["type"]], {}
    return start["status"], {name.decode(): value.decode() for name, value in start.get("headers", [])}


def answer_to(app: Any, kind: str, **options: str) -> tuple[int, dict[str, str]]:
    """Send one request, from a loop of its own: playwright keeps one running where there was a browser."""
    with start_blocking_portal() as portal:
        return portal.call(partial(ask, app, kind, **options))


async def accepting(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("headers", "welcome"),
    [
        ({"host": "127.0.0.1:8080"}, True),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, True),
        ({"host": "evil.example:8080"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
        ({}, False),
        ({"host": "127.0.0.1:8080", "origin": "http://evil.example"}, False),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:9999"}, False),
        ({"host": "127.0.0.1:8080", "origin": "null"}, False),
    ],
)
def test_only_its_own_pages_may_ask(kind: str, headers: dict[str, str], welcome: bool) -> None:
    status, _ = answer_to(Guard(accepting, HOSTS), kind, **headers)
    assert status == ((101 if kind == "websocket" else 200) if welcome else 403)


def test_answers_say_that_nothing_may_be_loaded_from_elsewhere() -> None:
    _, headers = answer_to(Guard(accepting, HOSTS), "http", host="localhost")
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["referrer-policy"] == "no-referrer"


@pytest.fixture(scope="module")
def with_token() -> Iterator[Any]:
    """Return the dashboard as it is bound elsewhere."""
    return build_app(["myhost"], "secret")


def test_elsewhere_a_token_is_asked_for(with_token: Any) -> None:
    for query in ("", "access_token=wrong"):
        status, headers = answer_to(with_token, "http", query=query, host="myhost")
        assert status == 303
        assert headers["location"].startswith("/auth/login")
        assert "set-cookie" not in headers
    _, headers = answer_to(with_token, "http", query="access_token=secret", host="myhost")
    assert headers["location"] == "/"
    assert "httponly" in headers["set-cookie"]
    assert "secret" not in headers["set-cookie"]
    status, _ = answer_to(with_token, "websocket", path="/ws", query="session_id=s_1", host="myhost")
    assert status != 101


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("x", False),
    ],
)
def test_loopback_is_known(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
