"""The time left of a whole run, from what earlier runs of its size took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.pages.run import progress_view
from dashboard.runs import process as run_process
from dashboard.runs.progress import RunState, after
from dashboard.runs.time_left import earlier_runs, time_left
from review_sentiment.config import Settings
from review_sentiment.settings_files import with_overrides

SECONDS = {"read": 10.0, "train": 100.0, "score": 40.0}
GAP = 1.0
"""Seconds between two steps."""
UNITS = 20
"""Of the training's progress."""


def course(
    seconds: Mapping[str, float] = SECONDS, cached: tuple[str, ...] = (), done_before: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield the events of a run whose training takes a fifth of its step to load."""
    now = 1000.0
    yield {"event": "run", "time": now, "log": "", "pid": 1, "stack": "local", "steps": list(seconds)}
    for name, length in seconds.items():
        now += GAP
        if name in cached:
            yield {"event": "step", "time": now, "step": name, "status": "cached", "seconds": 0.0}
            continue
        yield {"event": "step", "time": now, "step": name, "status": "running", "seconds": 0.0}
        begun = now
        if name == "train":
            for done in range(done_before + 1, UNITS + 1):
                share = (done - done_before) / UNITS
                now = begun + length * (0.2 + 0.8 * share)
                yield {
                    "event": "progress",
                    "time": now,
                    "task": "training",
                    "done": done,
                    "total": UNITS,
                    "seconds_left": None,
                    "detail": "",
                }
        now = max(now, begun + length) if not done_before or name != "train" else now
        ended = {"event": "step", "step": name, "status": "completed"}
        yield ended | {"time": now, "seconds": now - begun}
    yield {"event": "end", "time": now, "status": "completed", "text": "", "result": None}


def state_of(events: Iterator[dict[str, Any]], until: float = float("inf")) -> RunState:
    """Return the state after the events up to a time."""
    state = RunState()
    for event in events:
        if event["time"] <= until:
            state = after(state, event)
    return state


def total(seconds: Mapping[str, float] = SECONDS) -> float:
    return sum(seconds.values()) + GAP * len(seconds)


EARLIER = (state_of(course()),)


@given(st.floats(0.1, total() - 0.1))
def test_a_run_like_the_one_before_ends_when_that_did(passed: float) -> None:
    found = time_left(state_of(course(), 1000 + passed), EARLIER, 1000 + passed)
    assert found is not None
    assert found.seconds == pytest.approx(total() - passed, abs=1e-6)
    assert found.share == pytest.approx(passed / total())


@given(st.floats(0.5, 4))
def test_a_step_at_another_pace_is_seen_in_its_progress(pace: float) -> None:
    slow = SECONDS | {"train": pace * SECONDS["train"]}
    now = 1000 + 2 * GAP + slow["read"] + 0.8 * slow["train"]
    found = time_left(state_of(course(slow), now), EARLIER, now)
    assert found is not None
    assert found.seconds == pytest.approx(total(slow) - (now - 1000), rel=0.1)


def test_a_step_that_lasts_longer_than_before_never_owes_time() -> None:
    state = state_of(course(), 1005)
    found = time_left(state, EARLIER, 1500)
    assert found is not None
    assert found.seconds == pytest.approx(100 + 40 + 2 * GAP)
    assert found.bound == "more than"
    page = progress_view(run_process.RunRecord("run", 1, 0.0, (), ""), state, found).text
    assert "more than 2 min 22 s left of the run, step 1 of 3, which takes longer than before" in page


def test_a_step_that_only_ever_came_from_the_cache_has_no_known_time() -> None:
    cached = state_of(course(cached=("read",)))
    assert time_left(state_of(course(), 1005), (cached,), 1005) is None
    now = 1000 + 2 * GAP + 10 + 50
    later = time_left(state_of(course(), now), (cached,), now)  # it is over: the rest is known
    assert later is not None
    assert later.seconds == pytest.approx(50 + 40 + GAP)


def test_what_came_from_the_cache_before_it_worked_leaves_room_for_more_of_it() -> None:
    fresh = time_left(state_of(course(cached=("read",)), 1001.5), EARLIER, 1001.5)
    assert fresh is not None
    assert fresh.bound == "at most"
    now = 1000 + 2 * GAP + 50
    working = time_left(state_of(course(cached=("read",)), now), EARLIER, now)
    assert working is not None
    assert working.bound == "about"
    assert working.seconds == pytest.approx(50 + 40 + GAP)


def test_a_resumed_training_counts_from_where_it_goes_on() -> None:
    now = 1000 + 2 * GAP + 10 + 24.0
    state = state_of(course(done_before=15), now)  # the first of the five units that are left
    assert state.steps["train"].resumed
    found = time_left(state, EARLIER, now)
    assert found is not None
    assert found.seconds == pytest.approx(0.8 * 100 * 4 / UNITS + 40 + GAP)
    # ... and tells nothing of how long a whole one takes
    resumed = state_of(course(done_before=15))
    later = state_of(course(), 1005)
    assert time_left(later, (resumed,), 1005) is None
    assert time_left(later, (resumed, *EARLIER), 1005) is not None


def test_without_a_run_of_its_size_nothing_is_said_of_the_whole() -> None:
    state = state_of(course(), 1060)
    assert time_left(state, (), 1060) is None
    other = state_of(course({"read": 10, "score": 40}))
    assert time_left(state, (other,), 1060) is None
    assert time_left(state_of(course()), EARLIER, 2000) is None  # it has ended
    assert time_left(RunState(), EARLIER, 1000) is None  # it has not begun


def test_the_page_says_whose_time_is_left() -> None:
    record = run_process.RunRecord("run", 1, 0.0, (), "title")
    now = 1000 + 2 * GAP + 10 + 50
    state = state_of(course(), now)
    page = progress_view(record, state, time_left(state, EARLIER, now)).text
    assert "about 1 min 31 s left of the run, step 2 of 3" in page
    assert "aria-valuenow=41" in page  # 62 of 153 seconds, where the steps would say 46
    assert "known once a run of this size has ended" in progress_view(record, state, None).text


def kept(directory: Path, name: str, *overrides: str) -> run_process.RunRecord:
    """Keep a run with these settings, as the dashboard does."""
    record = run_process.RunRecord(name, 1, 0.0, (), "")
    place = directory / "review-sentiment" / "dashboard" / "runs" / name
    place.mkdir(parents=True)
    (place / "run.json").write_text(
        json.dumps({"name": name, "pid": 1, "began": 0, "options": [], "title": ""})
    )
    (place / "settings.yaml").write_text(
        json.dumps(with_overrides(Settings(), list(overrides)).model_dump(mode="json"))
    )
    (place / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in course()))
    return record


def test_runs_are_of_one_size_when_only_what_takes_no_time_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept(tmp_path, "1", "training.learning_rate=0.01", "seed=7")
    kept(tmp_path, "2", "lora.rank=64")
    broken = kept(tmp_path, "3")
    broken.settings_file.write_text("training:\n  of_another_version: 1\n")
    present = kept(tmp_path, "4")
    kept(tmp_path, "5")  # a later one, when an old run is looked at
    assert len(earlier_runs(present)) == 1
    assert earlier_runs(broken) == ()
