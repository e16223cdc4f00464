"""Access control of the dashboard: only its own pages at its own address; other machines need a token."""

from __future__ import annotations

import socket

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.serving.access import guard
from dashboard.serving.server import is_loopback, serve
from review_sentiment.errors import UsageError

TOKEN = "secret"


def browser(token: str = "", *hosts: str) -> TestClient:
    """Return a browser of an app that answers every request, behind the access control."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("reached"), methods=["GET", "POST"])])
    hosts = hosts or ("127.0.0.1", "localhost", "[::1]")
    return TestClient(guard(app, hosts, token), base_url=f"http://{hosts[0]}:8080", follow_redirects=False)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "127.0.0.1:8080"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, 200),
        ({"host": "LOCALHOST:8080", "origin": "http://localhost:8080"}, 200),
        ({"host": "evil.example:8080"}, 400),
        ({"host": "127.0.0.1.evil.example"}, 400),
        ({"host": "127.0.0.1:8080", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:9999"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "null"}, 403),
    ],
)
def test_only_its_own_pages_reach_the_app(method: str, headers: dict[str, str], expected: int) -> None:
    answer = browser().request(method, "/", headers=headers)
    assert answer.status_code == expected
    assert (answer.text == "reached") == (expected == 200)


def test_a_pattern_of_host_names_is_refused() -> None:
    with socket.socket() as door, pytest.raises(UsageError, match="not a pattern"):
        serve("127.0.0.1", door, ["*"], print)


@pytest.mark.parametrize("path", ["/", "/missing"])
def test_responses_forbid_to_load_anything_from_other_sites(path: str) -> None:
    headers = browser().get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["referrer-policy"] == "same-origin"


def test_requests_from_other_machines_need_a_token() -> None:
    visitor = browser(TOKEN, "myhost")
    for query in ("", "?access_token=wrong"):
        answer = visitor.get(f"/{query}")
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert TOKEN not in answer.text


def test_the_token_moves_from_the_address_into_a_cookie() -> None:
    visitor = browser(TOKEN, "myhost")
    answer = visitor.get(f"/?access_token={TOKEN}&x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "http://myhost:8080/?x=1"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert visitor.get("/").text == "reached"
    visitor.cookies.clear()
    assert visitor.get("/", headers={"cookie": "review_sentiment_8080=wrong"}).status_code == 401


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
