"""What the dashboard answers if a page is missing, not available, or has a bug."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from dashboard.pages import try_it
from review_sentiment.errors import TrackingError
from tests.unit.dashboard.pages import client


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> TestClient:
    """Return a browser in which Try it fails."""

    def fail(_request: object) -> None:
        raise error

    monkeypatch.setattr(try_it, "registry_of", fail)
    app = client().app
    return TestClient(app, raise_server_exceptions=False)


def test_a_page_that_does_not_exist_is_named() -> None:
    answer = client().get("/nowhere<b>")
    assert answer.status_code == 404
    assert "There is no page at /nowhere" in answer.text
    assert "<b>" not in answer.text


def test_a_store_that_cannot_be_reached_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = failing(monkeypatch, TrackingError("MLflow does not answer.")).get("/try?text=x")
    assert answer.status_code == 503
    assert "MLflow does not answer." in answer.text
    assert 'href="http://testserver/try?text=x"' in answer.text


def test_a_bug_is_called_one_and_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = failing(monkeypatch, KeyError("column\nsecond line")).get("/try")
    assert answer.status_code == 500
    assert "This is a bug in the dashboard: KeyError" in answer.text
    assert "Traceback" not in answer.text
