"""An MLflow outage: an error within seconds at the start, retries later."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from review_sentiment.errors import TrackingError
from review_sentiment.tracking import mlflow_store

RUN = {"info": {"run_id": "1", "run_uuid": "1", "experiment_id": "0", "status": "RUNNING"}, "data": {}}


@dataclass
class Tracker:
    """A minimal MLflow server; it refuses the next `failures` requests."""

    url: str = ""
    failures: int = 0
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    found = Tracker()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            found.requests.append(self.path)
            away = found.failures > 0
            found.failures -= away
            body = json.dumps({"run": RUN} if "runs/get" in self.path else {"experiments": []}).encode()
            self.send_response(503 if away else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - http.server calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv(mlflow_store.TRACKING_VARIABLE, found.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    yield found
    server.shutdown()
    server.server_close()


def test_an_unavailable_server_at_the_start_is_an_error_within_seconds(tracker: Tracker) -> None:
    tracker.failures = 99
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"The request to MLflow at .* failed"):
        mlflow_store.configure(tracker.url)
    assert len(tracker.requests) == 3
    assert time.monotonic() - started < 20


def test_an_unavailable_server_later_is_retried(tracker: Tracker) -> None:
    mlflow_store.configure(tracker.url)
    tracker.failures = 5
    assert mlflow_store.client().get_run("1").info.run_id == "1"
    assert tracker.failures == 0
