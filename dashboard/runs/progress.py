"""The state of a run, from the events that it writes (`front_door/run/events.py`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

Status = Literal["starting", "running", "completed", "detached", "failed", "interrupted", "lost"]
WAITING = "waiting"
MESSAGES_KEPT = 12
MARKS_PER_TASK = 100
"""Progress is remembered at every percent."""


@dataclass(frozen=True)
class Mark:
    """The fraction (0-1) of a task that was done, and the seconds since the start of its step.

    `round` counts the tasks with the same name in one step: each validation scores reviews.
    """

    task: str
    round: int
    fraction: float
    seconds: float


@dataclass(frozen=True)
class StepState:
    """A step: waiting, running, cached, completed, failed or interrupted; `since` is when that started.

    `wait` is the number of seconds between the end of the previous step and the start of this one;
    `resumed` means that its training continued from a checkpoint.
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
    """The progress of the current task; `seconds_left` is None before its first unit is done."""

    task: str
    done: int
    total: int
    seconds_left: float | None
    detail: str


@dataclass(frozen=True)
class RunState:
    """Everything that the events report; times are seconds since 1970, 0 if unknown.

    `until` is the time of the last event, `idle_since` that of the last step's end or the run's start.
    `messages` has level and text of the last messages; `exit_code` is that of the error. `stop_asked` is
    `cancel` or `kill` if the user asked for that.
    """

    status: Status = "starting"
    since: float = 0.0
    until: float = 0.0
    idle_since: float = 0.0
    log: str = ""
    stack: str = ""
    steps: Mapping[str, StepState] = field(default_factory=dict)
    progress: TaskProgress | None = None
    messages: tuple[tuple[str, str], ...] = ()
    error: str = ""
    exit_code: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    stop_asked: str = ""

    @property
    def ended(self) -> bool:
        """Return whether no more events will come."""
        return self.status not in {"starting", "running"}

    @property
    def seconds(self) -> float:
        """Return the seconds from the first to the last event."""
        return max(0.0, self.until - self.since) if self.since else 0.0

    def concluded(self, alive: bool, stop_asked: str) -> RunState:
        """Return the state given whether the process is alive, and what the user asked for.

        A dead run that reported no end is lost, unless the user stopped it.
        """
        state = replace(self, stop_asked=stop_asked)
        if alive or self.ended:
            return state
        return _ended(state, "interrupted" if stop_asked else "lost")

    def with_step(self, step: StepState) -> RunState:
        """Return the state with one step replaced."""
        return replace(self, steps={**self.steps, step.name: step})


def read_events(file: Path) -> RunState:
    """Return the state after all complete lines of a file, which may not exist yet."""
    state = RunState()
    if file.is_file():
        *lines, _ = file.read_bytes().split(b"\n")
        for line in lines:
            state = after(state, json.loads(line))
    return state


def after(state: RunState, event: Mapping[str, Any]) -> RunState:
    """Return the state after one more event."""
    now = event["time"]
    state = replace(state, until=now, since=state.since or now)
    match event["event"]:
        case "run":
            steps = {name: StepState(name, WAITING) for name in event["steps"]}
            run = {"log": event["log"], "stack": event["stack"], "steps": steps}
            return replace(state, status="running", idle_since=now, **run)
        case "step":
            return _after_step(state, event)
        case "progress":
            values = {name: event[name] for name in ("task", "done", "total", "seconds_left", "detail")}
            return _with_mark(replace(state, progress=TaskProgress(**values)))
        case "message":
            messages = (*state.messages, (event["level"], event["text"]))[-MESSAGES_KEPT:]
            return replace(state, messages=messages)
        case "end":
            outcome = {"error": event["text"], "exit_code": event.get("exit_code", 0)}
            return replace(_ended(state, event["status"]), result=event["result"] or {}, **outcome)
    return state


def _after_step(state: RunState, event: Mapping[str, Any]) -> RunState:
    name, status, now = event["step"], event["status"], event["time"]
    before = state.steps.get(name, StepState(name, WAITING))
    wait = max(0.0, now - state.idle_since) if before.status == WAITING else before.wait
    state = state.with_step(replace(before, status=status, seconds=event["seconds"], since=now, wait=wait))
    return state if status == "running" else replace(state, progress=None, idle_since=now)


def _with_mark(state: RunState) -> RunState:
    """Return the state with the current task's progress added to the running step."""
    running = [step for step in state.steps.values() if step.status == "running"]
    task = state.progress
    if not running or task is None or not task.total:
        return state
    step, fraction = running[-1], task.done / task.total
    last = next((mark for mark in reversed(step.marks) if mark.task == task.task), None)
    if last and last.fraction <= fraction < min(1.0, last.fraction + 1 / MARKS_PER_TASK):
        return state
    number = 0 if last is None else last.round + (fraction < last.fraction)
    # Training reports every step: if its first report is not of step 1, it was resumed.
    resumed = step.resumed or (last is None and task.done > 1)
    mark = Mark(task.task, number, fraction, state.until - step.since)
    return state.with_step(replace(step, marks=(*step.marks, mark), resumed=resumed))


def _ended(state: RunState, status: Status) -> RunState:
    """Return the ended state, in which no step is running."""
    step_status = "failed" if status == "failed" else "interrupted"
    for step in state.steps.values():
        if step.status == "running":
            seconds = max(0.0, state.until - step.since)
            state = state.with_step(replace(step, status=step_status, seconds=seconds))
    return replace(state, status=status, progress=None)


def has_started(state: RunState) -> bool:
    """Return whether any step has started, or the run has ended."""
    return state.ended or any(step.status != WAITING for step in state.steps.values())


def step_number(state: RunState) -> int:
    """Return the number of the current step, from 1."""
    return max(1, sum(step.status != WAITING for step in state.steps.values()))
