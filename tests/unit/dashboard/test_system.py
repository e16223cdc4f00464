"""System: speeds are measured in the background, with progress and cancel; the self-test is a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dashboard.jobs import Job
from dashboard.pages import system
from dashboard.queries import device_speed
from front_door.doctor.checks import Check
from tests.unit.dashboard.pages import ImmediateJobs, client

SPEED = device_speed.Speed("cpu", "fp32", 1234.0, 1000.0, 1500.0, 6)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of measurements, for a machine without a GPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(system, "has_gpu", lambda _machine: False)
    directory = device_speed._file("cpu").parent
    directory.mkdir(parents=True)
    return directory


class RunningJobs(ImmediateJobs):
    """Every job that is asked for stays in progress."""

    def ask(self, kind: str, key: Any, work: Any, *arguments: Any, **options: Any) -> Job[Any]:
        return self.done.setdefault(key, Job(1.0))


def test_a_measurement_runs_in_the_background_and_can_be_cancelled(cache: Path) -> None:
    jobs = RunningJobs()
    browser = client(jobs)
    assert "Nothing has been measured yet." in browser.get("/system").text
    answer = browser.post("/system/speed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/system#speed")
    page = browser.get("/system").text
    assert "Measuring cpu: loading the model and the reviews" in page
    assert '<section id="speed" class="panel stack" data-live="1">' in page
    snapshot = {"task": "training", "done": 3, "total": 8, "seconds": 6.0, "fraction": 0.375}
    lines = [
        {"kind": "log", "name": "x", "level": 20, "text": "y"},
        {"kind": "progress", "snapshot": snapshot},
    ]
    device_speed._progress_file("cpu").write_text("\n".join(map(json.dumps, lines)) + '\n{"kind": "prog')
    page = browser.get("/system").text
    assert "Measuring cpu: step 3 of 8" in page
    assert 'value="0.3750"' in page
    assert browser.post("/system/speed/cancel").status_code == 303
    assert jobs.cancelled == ["measurements"]


def test_a_measurement_that_is_running_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = RunningJobs()
    job = jobs.ask("measurements", ("speed", "cpu"), None)
    client(jobs).post("/system/speed")
    assert jobs.done[("speed", "cpu")] is job


def test_results_and_problems_are_shown(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "speed_cpu.json").write_text(json.dumps(vars(SPEED)))
    page = client().get("/system").text
    assert "1,234 (1,000-1,500)" in page
    assert "Estimates for GPUs" in page
    jobs = ImmediateJobs()
    jobs.done[("speed", "cpu")] = Job(1.0, problem="no memory")
    assert "The measurement on cpu failed: no memory" in client(jobs).get("/system").text


def test_a_damaged_result_is_ignored(cache: Path) -> None:
    for text in ("", "{}", "[1]"):
        (cache / "speed_cpu.json").write_text(text)
        assert device_speed.saved_speed("cpu") is None


def test_the_self_test_is_run_once_until_it_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def run(model: str) -> list[Check]:
        runs.append(model)
        return [Check("first", True, "fine"), Check("second", False, "<b>bad</b>")]

    monkeypatch.setattr(system, "run_self_test", run)
    browser = client()
    for _ in range(2):
        page = browser.get("/system/self-test").text
    assert len(runs) == 1
    assert "1 of 2 checks passed" in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert browser.post("/system/self-test").headers["location"] == "/system/self-test"
    browser.get("/system/self-test")
    assert len(runs) == 2


def test_the_first_steps_do_not_count_for_a_speed() -> None:
    speed = device_speed.speed_of("cpu", "bf16", [1.0, 2.0, 100.0, 110.0, 120.0])
    assert (speed.tokens_per_second, speed.low, speed.high, speed.steps) == (110.0, 100.0, 120.0, 3)
    assert all(tokens > 0 for _, _, tokens in device_speed.estimated_speeds())
