"""The overview: the way to a first run, the champion, and what needs attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dashboard.app import build_app
from dashboard.pages import overview
from dashboard.queries.runs import Run, RunList
from dashboard.queries.versions import Registry, default_model
from review_sentiment.errors import TrackingError
from tests.unit.dashboard.pages import client
from tests.unit.dashboard.recorded import version

STOPPED = Run("run-1", "interrupted", 1.0, 2.0, "local", "command line", "", None)
FAILED = Run("run-2", "failed", 1.0, 2.0, "local", "command line", "", None)
COMPLETED = Run("run-3", "completed", 1.0, 2.0, "local", "command line", "", None)


def page(
    monkeypatch: pytest.MonkeyPatch,
    registry: Registry | TrackingError,
    *runs: Run,
    scoring: tuple[str, dict[str, Any]] | None = None,
) -> str:
    """Return the page about these versions, runs and the file that was scored last."""

    def registry_of(_: object) -> Registry:
        if isinstance(registry, TrackingError):
            raise registry
        return registry

    monkeypatch.setattr(overview, "registry_of", registry_of)
    monkeypatch.setattr(overview, "read_runs", lambda _: RunList(runs))
    monkeypatch.setattr(overview, "outcomes", lambda _: {})
    monkeypatch.setattr(overview, "is_on_server", lambda: False)
    monkeypatch.setattr(overview, "last_scoring", lambda: scoring)
    answer = TestClient(build_app()).get("/")
    assert answer.status_code == 200
    return answer.text


def test_without_any_run_it_leads_to_the_first_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZENML_CONFIG_PATH", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    window = client()
    first = window.get("/").text
    assert "Train your first model" in first
    assert 'href="/runs/new?config=smoke"' in first
    assert "Start the run" in window.get("/runs/new?config=smoke").text
    assert not list(tmp_path.rglob("*.db")), "a page creates no store"


def test_the_champion_has_its_figures_and_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    champion = version("2", "champion", natural_accuracy="0.951", champion_since="2026-08-01T10:00:00+00:00")
    text = page(monkeypatch, Registry("m", [champion], champion), COMPLETED)
    assert "Champion since <time datetime='2026-08-01" in text
    assert "0.951" in text
    assert "Nothing." in text, "nothing needs attention"


@pytest.mark.parametrize(
    ("gate", "expected"),
    [("passed", "passed its gate and waits for a promotion"), ("not passed", "did not pass its gate")],
)
def test_a_version_after_the_champion_needs_attention(
    monkeypatch: pytest.MonkeyPatch, gate: str, expected: str
) -> None:
    champion, newest = version("9", "champion"), version("10", "challenger", gate=gate)
    text = page(monkeypatch, Registry("m", [newest, champion], champion), COMPLETED)
    assert f"Version 10 {expected}." in text
    assert "/compare?model=m&amp;models=9&amp;models=10" in text
    assert 'href="/models/9?model=m"' in text
    assert "/compare?models=9" in page(monkeypatch, Registry(default_model(), [newest, champion], champion))


def test_versions_without_a_champion_and_its_warnings_need_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No version is the champion yet" in page(monkeypatch, Registry("m", [version("1")]), COMPLETED)
    champion = version("1", "champion", warnings="Collapsed on a class.")
    assert "Champion: Collapsed on a class." in page(monkeypatch, Registry("m", [champion], champion))


def test_only_the_newest_run_needs_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry("m")
    assert "The newest run failed." in page(monkeypatch, registry, FAILED, COMPLETED)
    assert "The newest run was stopped." in page(monkeypatch, registry, STOPPED)
    assert "The newest run" not in page(monkeypatch, registry, COMPLETED, FAILED)


def test_drift_and_unsure_answers_of_the_last_scored_file_need_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figures = {"rows": 100, "unsure": 20, "drifted": ["language", "words"]}
    text = page(monkeypatch, Registry("m"), COMPLETED, scoring=("score-1", figures))
    assert "differs from the training reviews in language, words." in text
    assert "20% of the last scored reviews were left to a person." in text
    quiet = page(monkeypatch, Registry("m"), COMPLETED, scoring=("score-1", {"rows": 100, "unsure": 19}))
    assert "Nothing." in quiet


def test_the_runs_are_shown_although_mlflow_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    text = page(monkeypatch, TrackingError("MLflow is down."), COMPLETED)
    assert "MLflow is down." in text
    assert "/runs/run-3" in text
