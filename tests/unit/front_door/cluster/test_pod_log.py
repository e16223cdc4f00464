"""A pod's log on the console: our messages and progress once each, the rest in the log file only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from front_door.cluster.pod_log import POD_LOGS, PodLog
from front_door.cluster.pods import Cluster
from review_sentiment.progress import ATTRIBUTE
from tests.unit.front_door.cluster.recorded import recorded

LINES = (
    "2026-11-29T17:02:31.1Z INFO zenml.steps: Step `finetune` has started.",
    "2026-11-29T17:02:31.15Z INFO review_sentiment.training: rank 16 fits",
    "2026-11-29T17:02:31.1501Z INFO review_sentiment.progress: training: 3 of 10 loss 0.5",
    "2026-11-29T17:02:32Z a line that a library printed",
)


class _Core:
    """Answers like the API server: all lines, since `since_seconds` is rounded up and overlaps."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.requests: list[dict[str, Any]] = []

    def read_namespaced_pod_log(self, pod: str, namespace: str, **options: Any) -> Any:
        self.requests.append(options)
        return SimpleNamespace(data="\n".join(self.lines).encode())


@pytest.fixture
def core() -> _Core:
    return _Core(LINES[:2])


@pytest.fixture
def cluster(core: _Core) -> Cluster:
    found = Cluster(None, "zenml")
    found.__dict__["core"] = core
    return found


def test_lines_are_shown_once(core: _Core, cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log, pod = PodLog("finetune"), recorded("runs")
    log.show(cluster, pod)
    core.lines = LINES
    log.show(cluster, pod)
    assert "since_seconds" not in core.requests[0]
    assert core.requests[1]["since_seconds"] > 0

    messages = [record for record in caplog.records if record.name != POD_LOGS.name]
    assert messages[0].getMessage() == "finetune: rank 16 fits"
    progress = getattr(messages[1], ATTRIBUTE)
    assert (progress.task, progress.done, progress.total) == ("training", 3, 10)
    assert len(messages) == 2
    kept = [record.getMessage() for record in caplog.records if record.name == POD_LOGS.name]
    assert kept == [
        "finetune: INFO zenml.steps: Step `finetune` has started.",
        "finetune: a line that a library printed",
    ]


def test_a_pod_that_has_ended_is_read_for_the_last_time(core: _Core, cluster: Cluster) -> None:
    log = PodLog("finetune")
    for _ in range(2):
        log.show(cluster, recorded("exit1"))
    assert len(core.requests) == 1


def test_a_pod_that_has_not_started_is_not_read(core: _Core, cluster: Cluster) -> None:
    PodLog("finetune").show(cluster, recorded("gpu"))
    assert core.requests == []
