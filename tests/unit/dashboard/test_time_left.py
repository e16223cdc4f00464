"""The time left of a whole run, from how long earlier runs of the same size took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.runs.local import LocalRun
from dashboard.runs.progress import WAITING, RunState, StepState, after
from dashboard.runs.time_left import earlier_runs, estimated_run, time_left
from review_sentiment.config import Settings
from review_sentiment.settings_files import with_overrides

SECONDS = {"read": 10.0, "train": 100.0, "score": 40.0}
GAP = 1.0
"""Seconds between two steps."""
UNITS = 20
"""Of the training's progress."""


def run_events(
    seconds: Mapping[str, float] = SECONDS, cached: tuple[str, ...] = (), done_before: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield the events of a run whose training step spends a fifth of its time on loading."""
    now = 1000.0
    yield {"event": "run", "time": now, "log": "", "pid": 1, "stack": "local", "steps": list(seconds)}
    for name, length in seconds.items():
        now += GAP
        if name in cached:
            yield {"event": "step", "time": now, "step": name, "status": "cached", "seconds": 0.0}
            continue
        yield {"event": "step", "time": now, "step": name, "status": "running", "seconds": 0.0}
        started = now
        if name == "train":
            for done in range(done_before + 1, UNITS + 1):
                fraction = (done - done_before) / UNITS
                now = started + length * (0.2 + 0.8 * fraction)
                yield {
                    "event": "progress",
                    "time": now,
                    "task": "training",
                    "done": done,
                    "total": UNITS,
                    "seconds_left": None,
                    "detail": "",
                }
        now = max(now, started + length) if not done_before or name != "train" else now
        ended = {"event": "step", "step": name, "status": "completed"}
        yield ended | {"time": now, "seconds": now - started}
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


EARLIER = (state_of(run_events()),)


@given(st.floats(0.1, total() - 0.1))
def test_a_run_takes_as_long_as_an_equal_one_before(passed: float) -> None:
    found = time_left(state_of(run_events(), 1000 + passed), EARLIER, 1000 + passed)
    assert found is not None
    assert found.seconds == pytest.approx(total() - passed, abs=1e-6)
    assert found.fraction == pytest.approx(passed / total())


@given(st.floats(0.5, 4))
def test_the_speed_of_the_current_step_is_taken_from_its_progress(slowdown: float) -> None:
    slow = SECONDS | {"train": slowdown * SECONDS["train"]}
    now = 1000 + 2 * GAP + slow["read"] + 0.8 * slow["train"]
    found = time_left(state_of(run_events(slow), now), EARLIER, now)
    assert found is not None
    assert found.seconds == pytest.approx(total(slow) - (now - 1000), rel=0.1)


def test_a_step_that_takes_longer_than_before_has_no_negative_time_left() -> None:
    state = state_of(run_events(), 1005)
    found = time_left(state, EARLIER, 1500)
    assert found is not None
    assert found.seconds == pytest.approx(100 + 40 + 2 * GAP)
    assert found.bound == "more than"


def test_the_duration_of_a_step_that_was_always_cached_is_unknown() -> None:
    cached = state_of(run_events(cached=("read",)))
    assert time_left(state_of(run_events(), 1005), (cached,), 1005) is None
    now = 1000 + 2 * GAP + 10 + 50
    later = time_left(state_of(run_events(), now), (cached,), now)  # the step has ended: the rest is known
    assert later is not None
    assert later.seconds == pytest.approx(50 + 40 + GAP)


def test_before_any_step_has_worked_the_time_left_is_an_upper_bound() -> None:
    fresh = time_left(state_of(run_events(cached=("read",)), 1001.5), EARLIER, 1001.5)
    assert fresh is not None
    assert fresh.bound == "at most"
    now = 1000 + 2 * GAP + 50
    working = time_left(state_of(run_events(cached=("read",)), now), EARLIER, now)
    assert working is not None
    assert working.bound == "about"
    assert working.seconds == pytest.approx(50 + 40 + GAP)


def test_a_resumed_training_counts_from_its_checkpoint() -> None:
    now = 1000 + 2 * GAP + 10 + 24.0
    state = state_of(run_events(done_before=15), now)  # the first of the five remaining units
    assert state.steps["train"].resumed
    found = time_left(state, EARLIER, now)
    assert found is not None
    assert found.seconds == pytest.approx(0.8 * 100 * 4 / UNITS + 40 + GAP)
    # ... and does not show how long a whole training takes
    resumed = state_of(run_events(done_before=15))
    later = state_of(run_events(), 1005)
    assert time_left(later, (resumed,), 1005) is None
    assert time_left(later, (resumed, *EARLIER), 1005) is not None


def test_without_an_earlier_run_of_the_same_size_the_time_left_is_unknown() -> None:
    state = state_of(run_events(), 1060)
    assert time_left(state, (), 1060) is None
    other = state_of(run_events({"read": 10, "score": 40}))
    assert time_left(state, (other,), 1060) is None
    assert time_left(state_of(run_events()), EARLIER, 2000) is None  # it has ended
    assert time_left(RunState(), EARLIER, 1000) is None  # it has not started


def test_before_the_first_run_of_a_size_its_steps_count_by_their_estimate() -> None:
    settings = with_overrides(Settings(), ["training.max_steps=100", "data.categories=Tops"])
    steps = ["split_reviews", "finetune", "evaluate"]
    estimate = estimated_run(settings, steps, "local")
    seconds = {name: step.seconds for name, step in estimate.steps.items()}
    assert seconds["finetune"] > seconds["evaluate"] > seconds["split_reviews"]
    whole = sum(seconds.values())
    state = RunState(status="running", since=1000.0, idle_since=1000.0, stack="local", steps=waiting(steps))
    left = time_left(state, [estimate], 1000.0)
    assert left is not None
    assert left.seconds == pytest.approx(whole)
    half = after(
        after(
            state, {"event": "step", "time": 1000.0, "step": "finetune", "status": "running", "seconds": 0}
        ),
        {"event": "progress", "time": 1000 + seconds["finetune"] / 2, "task": "training", "done": 50}
        | {"total": 100, "seconds_left": None, "detail": ""},
    )
    left = time_left(half, [estimate], 1000 + seconds["finetune"] / 2)
    assert left is not None
    assert left.seconds == pytest.approx(whole - seconds["finetune"] / 2)


def waiting(steps: Sequence[str]) -> dict[str, StepState]:
    return {name: StepState(name, WAITING) for name in steps}


def test_runs_have_the_same_size_if_they_differ_only_in_settings_that_take_no_time(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in run_events()))
    end = {"status": "completed"}
    runs = [LocalRun(name, file, float(name), 1, "", "local", end) for name in "1234"]
    settings = {
        "1": {"lora.rank": "16", "training.learning_rate": "0.01", "seed": "7"},
        "2": {"lora.rank": "64", "training.learning_rate": "0.02", "seed": "8"},
        "4": {"lora.rank": "16", "training.learning_rate": "0.02", "seed": "8"},
    }
    assert len(earlier_runs("4", runs, settings)) == 1
    assert earlier_runs("3", runs, settings) == ()  # nothing is known about it
