"""Pages as a browser gets them, with the work of their jobs done at once in this process."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from starlette.testclient import TestClient

from dashboard.app import build_app
from dashboard.jobs import Job
from review_sentiment.errors import ReviewSentimentError


class ImmediateJobs:
    """Does the work that a page asks for before it returns."""

    def __init__(self) -> None:
        self.done: dict[Hashable, Job[Any]] = {}
        self.cancelled: list[str] = []

    def ask(
        self, kind: str, key: Hashable, work: Callable[..., Any], *arguments: Any, **options: Any
    ) -> Job[Any]:
        if key not in self.done:
            try:
                self.done[key] = Job(0.0, work(*arguments, **options))
            except ReviewSentimentError as error:
                self.done[key] = Job(0.0, problem=str(error))
        return self.done[key]

    def find(self, key: Hashable) -> Job[Any] | None:
        return self.done.get(key)

    def forget(self, key: Hashable) -> None:
        self.done.pop(key, None)

    def cancel(self, kind: str) -> None:
        self.cancelled.append(kind)


def client(jobs: Any = None) -> TestClient:
    """Return a browser of the dashboard without access control, which follows no redirects."""
    app = build_app()
    app.state.jobs = jobs or ImmediateJobs()
    return TestClient(app, follow_redirects=False)
