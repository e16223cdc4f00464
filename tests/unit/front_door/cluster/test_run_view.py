"""What is shown of a run: each step's status, each wait and each killed pod once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from front_door.cluster import follow
from front_door.cluster.follow import RunView
from front_door.cluster.pods import ORCHESTRATOR, STEP_LABEL, Cluster
from front_door.terminal.run_handler import RunHandler
from tests.unit.front_door.cluster.recorded import events_of, recorded

NOW = datetime(2026, 11, 29, 17, tzinfo=UTC)


class _Cluster(Cluster):
    """Has these recorded jobs and pods."""

    def jobs(self, run_id: str) -> list[Any]:
        return [recorded(name) for name in self.__dict__["has_jobs"]]

    def pods(self, run_id: str) -> list[Any]:
        return [recorded(name) for name in self.__dict__["has_pods"]]

    def events(self, uid: str) -> list[Any]:
        names = ("gpu", "oom", "quota", "runs")
        return next(events_of(name) for name in names if recorded(name).metadata.uid == uid)


class _Seen(RunHandler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.steps: list[tuple[str, str, float]] = []

    def on_message(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def on_step(self, step: str, status: str, seconds: float) -> None:
        self.steps.append((step, status, seconds))

    def on_progress(self, snapshot: object) -> None: ...


@pytest.fixture
def seen() -> Iterator[_Seen]:
    handler = _Seen()
    logging.getLogger("review_sentiment").setLevel(logging.INFO)
    with handler.listening():
        yield handler


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the steps that ZenML's server has; tests add to them."""
    found: list[Any] = []
    monkeypatch.setattr(follow, "_steps", lambda run_id: found)
    return found


@pytest.fixture
def cluster() -> Cluster:
    found = _Cluster(None, "zenml")
    answer = SimpleNamespace(data=b"2026-11-29T17:00:00Z INFO review_sentiment.data: kept 5 reviews")
    found.__dict__ |= {
        "has_jobs": ["quota"],
        "has_pods": ["gpu", "oom", "runs"],
        "core": SimpleNamespace(read_namespaced_pod_log=lambda *_, **__: answer),
    }
    return found


def step(name: str, status: str) -> Any:
    return SimpleNamespace(name=name, status=status, start_time=NOW, end_time=NOW + timedelta(seconds=4))


def test_waits_and_killed_pods_are_said_once(cluster: Cluster, steps: list[Any], seen: _Seen) -> None:
    view = RunView(cluster, uuid4())
    for _ in range(2):
        view.show()
    waits = [text for text in seen.messages if text.startswith("waiting: ")]
    assert [text.split(": ")[1] for text in waits] == ["quota", "gpu"]
    assert [text for text in seen.messages if "OOMKilled" in text] == [
        text for text in seen.messages if text.startswith("oom: its container")
    ]
    assert len([text for text in seen.messages if "OOMKilled" in text]) == 1
    assert seen.messages.count("runs: kept 5 reviews") == 1
    end = view.end_of("oom")
    assert end is not None
    assert end.killed
    assert view.end_of("runs") is None


def test_a_steps_status_is_shown_when_it_changes(cluster: Cluster, steps: list[Any], seen: _Seen) -> None:
    view = RunView(cluster, uuid4())
    steps += [step("split_reviews", "cached"), step("finetune", "running")]
    view.show()
    view.show()
    steps[1] = step("finetune", "completed")
    view.show()
    assert seen.steps == [
        ("split_reviews", "cached", 4.0),
        ("finetune", "running", 4.0),
        ("finetune", "completed", 4.0),
    ]


def test_the_run_has_ended_when_its_orchestrator_has(cluster: Cluster, steps: list[Any]) -> None:
    assert STEP_LABEL in recorded("oom").metadata.labels
    view = RunView(cluster, uuid4())
    assert view.show(), "there is no job of an orchestrator"
    running, ended = recorded("runs"), recorded("runs")
    for job in (running, ended):
        job.metadata.labels = {}
        assert follow.step_of(job) == ORCHESTRATOR
    running.status.conditions = None
    ended.status.conditions = [SimpleNamespace(type="Complete", status="True")]
    for job, expected in ((running, False), (ended, True)):
        cluster.__dict__["jobs"] = lambda _, job=job: [job]
        cluster.__dict__["has_pods"] = []
        cluster.__dict__["events"] = lambda _: []
        assert view.show() is expected
