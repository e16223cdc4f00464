"""Access control of the dashboard: only its own pages at its own address; other machines need a token."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from dashboard.serving.server import build_app, guard, is_loopback, serve
from review_sentiment.errors import UsageError

pytest.importorskip("marimo")
HOSTS = ("127.0.0.1", "localhost", "::1")


async def ask(
    app: Any, kind: str, path: str = "/", query: str = "", **headers: str
) -> tuple[int, dict[str, str]]:
    """Send one request; return status and headers of the response; 101 for an accepted WebSocket."""
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
    """Send one request from an event loop of its own: playwright keeps one running after browser tests."""
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
    ("headers", "expected"),
    [
        ({"host": "127.0.0.1:8080"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "LOCALHOST:8080", "origin": "http://localhost:8080"}, 200),
        ({"host": "evil.example:8080"}, 400),
        ({"host": "127.0.0.1.evil.example"}, 400),
        ({}, 400),
        ({"host": "127.0.0.1:8080", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:9999"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "null"}, 403),
    ],
)
def test_only_its_own_pages_reach_the_app(kind: str, headers: dict[str, str], expected: int) -> None:
    status, _ = answer_to(guard(accepting, HOSTS), kind, **headers)
    assert status == (101 if kind == "websocket" and expected == 200 else expected)


def test_a_pattern_of_host_names_is_refused() -> None:
    with pytest.raises(UsageError, match="not a pattern"):
        serve("127.0.0.1", socket.socket(), ["*"], print)


def test_responses_forbid_to_load_anything_from_other_sites() -> None:
    _, headers = answer_to(guard(accepting, HOSTS), "http", host="localhost")
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["referrer-policy"] == "same-origin"


@pytest.fixture(scope="module")
def with_token() -> Iterator[Any]:
    """Return the dashboard as it is served to other machines."""
    return build_app(["myhost"], "secret")


def test_requests_from_other_machines_need_a_token(with_token: Any) -> None:
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
def test_loopback_is_recognised(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
