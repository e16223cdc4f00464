"""How a run stands, from the events that it writes (`front_door/run/events.py`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Status = Literal["starting", "running", "completed", "failed", "interrupted", "lost"]
WAITING = "waiting"
MESSAGES_KEPT = 12


MARKS_A_TASK = 100
"""Most places of a task that are remembered: a percent apart."""


@dataclass(frozen=True)
class Mark:
    """A task of a step had done this share (0-1) so many seconds after the step's begin.

    `round` counts the tasks of the same name in one step: each validation scores reviews.
    """

    task: str
    round: int
    share: float
    seconds: float


@dataclass(frozen=True)
class StepState:
    """A step: waiting, running, cached, completed, failed or interrupted; `since` is when that began.

    `wait` is the seconds between the end of the step before and the begin of this one; `resumed` tells
    that its training went on from a checkpoint.
    """

    name: str
    status: str
    seconds: float = 0.0
    since: float = 0.0
    wait: float = 0.0
    marks: tuple[Mark, ...] = ()
    resumed: bool = False


@dataclass(frozen=True)
class TaskProgress:
    """Where the present task stands; `seconds_left` is None before its first unit."""

    task: str
    done: int
    total: int
    seconds_left: float | None
    detail: str


@dataclass(frozen=True)
class RunState:
    """Everything that the events say; `since` and `until` are seconds since 1970, 0 where not known."""

    status: Status = "starting"
    since: float = 0.0
    until: float = 0.0
    idle_since: float = 0.0
    """When the last step ended, or the run began."""
    log: str = ""
    stack: str = ""
    steps: Mapping[str, StepState] = field(default_factory=dict)
    progress: TaskProgress | None = None
    messages: tuple[tuple[str, str], ...] = ()
    """Level and text of the last ones."""
    error: str = ""
    exit_code: int = 0
    """Of the error."""
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will come."""
        return self.status not in {"starting", "running"}

    @property
    def seconds(self) -> float:
        """Return how long the run took, or has taken at its last event."""
        return max(0.0, self.until - self.since) if self.since else 0.0


class RunFollower:
    """Reads a growing file of events, each line once."""

    def __init__(self, file: Path) -> None:
        """Begin at the file's start; it need not be there yet."""
        self._file = file
        self._read = 0
        self._state = RunState()

    def read(self, alive: bool) -> RunState:
        """Return the state after all whole lines; a run that is not alive and said no end is lost."""
        if self._file.is_file():
            with self._file.open("rb") as file:
                file.seek(self._read)
                *lines, rest = file.read().split(b"\n")
                self._read = file.tell() - len(rest)
            for line in lines:
                self._state = after(self._state, json.loads(line))
        if alive or self._state.ended:
            return self._state
        return replace(_ended(self._state, "lost"), status="lost")


def after(state: RunState, event: Mapping[str, Any]) -> RunState:
    """Return the state after one more event."""
    state = replace(state, until=event["time"], since=state.since or event["time"])
    kind = event["event"]
    if kind == "run":
        steps = {name: StepState(name, WAITING) for name in event["steps"]}
        state = replace(state, status="running", log=event["log"], stack=event["stack"], steps=steps)
        return replace(state, idle_since=event["time"])
    if kind == "step":
        return _after_step(state, event)
    if kind == "progress":
        values = {name: event[name] for name in ("task", "done", "total", "seconds_left", "detail")}
        return _marked(replace(state, progress=TaskProgress(**values)))
    if kind == "message":
        messages = (*state.messages, (event["level"], event["text"]))[-MESSAGES_KEPT:]
        return replace(state, messages=messages)
    if kind == "end":
        ended = _ended(state, event["status"])
        return replace(
            ended,
            status=event["status"],
            error=event["text"],
            exit_code=event.get("exit_code", 0),
            result=event["result"] or {},
        )
    return state


def _after_step(state: RunState, event: Mapping[str, Any]) -> RunState:
    name, status, now = event["step"], event["status"], event["time"]
    before = state.steps.get(name, StepState(name, WAITING))
    step = replace(before, status=status, seconds=event["seconds"], since=now)
    if before.status == WAITING:
        step = replace(step, wait=max(0.0, now - state.idle_since))
    state = replace(state, steps={**state.steps, name: step})
    return state if status == "running" else replace(state, progress=None, idle_since=now)


def _marked(state: RunState) -> RunState:
    """Return the state with the present task's place kept in the step that runs."""
    running = [step for step in state.steps.values() if step.status == "running"]
    task = state.progress
    if not running or task is None or not task.total:
        return state
    step, share = running[-1], task.done / task.total
    last = next((mark for mark in reversed(step.marks) if mark.task == task.task), None)
    if last and last.share <= share < min(1.0, last.share + 1 / MARKS_A_TASK):
        return state
    number = 0 if last is None else last.round + (share < last.share)
    # A training says where it stands after each step: one that begins with its second was resumed.
    resumed = step.resumed or (last is None and task.done > 1)
    mark = Mark(task.task, number, share, state.until - step.since)
    step = replace(step, marks=(*step.marks, mark), resumed=resumed)
    return replace(state, steps={**state.steps, step.name: step})


def _ended(state: RunState, status: str) -> RunState:
    """Return the state with no step running: what ran when the run ended was cut off by that.

    Of a run that was told to stop, the step that ran then says of itself that it failed.
    """
    said = "failed" if status == "failed" else "interrupted"
    steps = dict(state.steps)
    for name, step in steps.items():
        if step.status == "running":
            steps[name] = replace(step, status=said, seconds=max(0.0, state.until - step.since))
        elif step.status == "failed":
            steps[name] = replace(step, status=said)
    return replace(state, steps=steps, progress=None)


def has_started(state: RunState) -> bool:
    """Tell whether any step has begun, or the run is over."""
    return state.ended or any(step.status != WAITING for step in state.steps.values())


def fraction_done(state: RunState) -> float:
    """Return the share of steps (0-1) that are over, the present task counted as far as it is."""
    if not state.steps:
        return 0.0
    over = sum(step.status in {"cached", "completed"} for step in state.steps.values())
    task = state.progress
    part = task.done / task.total if task and task.total else 0.0
    return min(1.0, (over + part) / len(state.steps))


def step_number(state: RunState) -> int:
    """Return the number of the present step among the run's, from 1."""
    begun = sum(step.status != WAITING for step in state.steps.values())
    return max(1, begun)
