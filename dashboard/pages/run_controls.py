"""Run, the part to act on: start, follow, cancel and resume a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.pages.run import curves_view, progress_view
from dashboard.pages.sections import CONFIGURE, RUN_PARAMETER, remember
from dashboard.queries.machine import has_gpu, read_machine
from dashboard.queries.versions import store_exists, use_mlflow
from dashboard.runs import process as run_process
from dashboard.runs.failures import can_resume
from dashboard.runs.progress import RunFollower, RunState, has_started
from dashboard.runs.time_left import earlier_runs, time_left
from dashboard.settings_form import command_line, needs_gpu, options_of
from dashboard.widgets.actions import Report, action_button, outcome_view
from dashboard.widgets.layout import Panel, code, column, notice, paragraph, row
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from dashboard.runs.process import RunRecord
    from dashboard.settings_form import Form
    from review_sentiment.config import Settings

RUNS_SHOWN = 50
CURVES_SECONDS = 10.0
"""Between two drawings of a live run's curves. Drawing them every 2 s slowed down a training run on two cores
by a quarter, because browser and server share the cores with it."""


@dataclass
class FollowedRun:
    """The run that the page shows, the reader of its events, and what the page last saw of it."""

    record: RunRecord
    follower: RunFollower
    was_alive: bool
    drawn: float
    """When its curves were last drawn, in seconds since 1970."""

    @classmethod
    def find(cls, name: str | None) -> FollowedRun | None:
        """Return the run with a name, or None."""
        record = next((one for one in run_process.list_runs() if one.name == name), None)
        if record is None:
            return None
        return cls(record, RunFollower(record.event_file), run_process.is_alive(record), time.time())

    @cached_property
    def earlier(self) -> tuple[RunState, ...]:
        """Return the states of earlier runs of the same size."""
        return earlier_runs(self.record)

    @property
    def alive(self) -> bool:
        """Return whether the run's process is running."""
        return run_process.is_alive(self.record)

    def read(self) -> RunState:
        """Return the run's current state."""
        alive = self.alive  # first: a process writes its last events before it exits
        return self.follower.read(alive)


def start_view(form: Form, report: Report) -> Panel:
    """Show the button that starts a run with the form's settings, or why it cannot start."""
    if other := run_process.active_run():
        return Panel(paragraph(f"Run {other.name} is in progress. Only one run at a time is possible."))
    if form.settings is None:
        text = f"Some settings are not valid yet: see {CONFIGURE}."
        return Panel(notice("Cannot be started", text, "warn"))
    if needs_gpu(form) and not has_gpu(read_machine()):
        text = (
            "These settings need a GPU, and no usable GPU was found: see Machine. "
            "Choose model.device=auto or cpu and the stack local."
        )
        return Panel(notice("Cannot be started here", text, "warn"))
    command, options = command_line(form), options_of(form, Path.cwd())
    start = partial(_start, form.settings, options, command)
    button = action_button("Start the run", start, report, "success")
    view = column([button, mo.accordion({"Equivalent command": code(command)})], gap=0.2)
    return Panel(view, (button,))


def run_chooser(name: str) -> mo.ui.dropdown:
    """Return a choice of runs; the active run is chosen first, then the named one, then the newest."""
    names = [record.name for record in run_process.list_runs()[:RUNS_SHOWN]]
    active = run_process.active_run()
    chosen = active.name if active else name if name in names else next(iter(names), None)
    return mo.ui.dropdown(
        names, value=chosen, label="Run", on_change=lambda value: remember({RUN_PARAMETER: value or ""})
    )


def run_view(followed: FollowedRun | None) -> mo.Html:
    """Show the state of a run."""
    if followed is None:
        return notice("No run yet", f"Choose settings under {CONFIGURE}, then start a run here.", "info")
    state = followed.read()
    left = None if state.ended else time_left(state, followed.earlier, time.time())
    return progress_view(followed.record, state, left)


def refresh_buttons(followed: FollowedRun | None, report: Report) -> None:
    """Refresh the cells with buttons once a run that they show as alive has ended."""
    if followed is not None and followed.was_alive and not followed.alive:
        followed.was_alive = False
        report(f"{time.time()} ")


def refresh_curves(followed: FollowedRun | None, set_drawn: Callable[[float], None]) -> None:
    """Redraw the curves of an active run if `CURVES_SECONDS` have passed."""
    now = time.time()
    if followed is not None and followed.alive and now - followed.drawn >= CURVES_SECONDS:
        followed.drawn = now
        set_drawn(now)


def end_controls(followed: FollowedRun | None, reported: str, report: Report) -> Panel:
    """Show the buttons that cancel or resume a run, and what the last one reported."""
    if followed is None:
        return Panel(None)
    buttons = _buttons(followed.record, followed.alive, followed.read(), report)
    return Panel(column([row(buttons), outcome_view(reported)]), tuple(buttons))


def live_curves_view(followed: FollowedRun | None) -> mo.Html | None:
    """Show the training curves of a run."""
    if followed is None:
        return None
    from review_sentiment.tracking.recorded_runs import recorded_curves, run_of_training

    state = followed.read()
    if not has_started(state) or not store_exists():
        return None
    try:
        use_mlflow()
        settings = load_settings(followed.record.settings_file)
        mlflow = state.result.get("mlflow") or {}
        until = state.until if state.ended else inf
        run_id = mlflow.get("run_id") or run_of_training(settings.tracking.experiment, state.since, until)
        return curves_view(recorded_curves(run_id) if run_id else {})
    except ReviewSentimentError as error:
        return notice("No curves", str(error), "warn")


def _buttons(record: RunRecord, alive: bool, state: RunState, report: Report) -> list[mo.ui.button]:
    def resume() -> str:
        return _start(load_settings(record.settings_file), record.options, record.title)

    if alive:
        return [
            action_button("Cancel (keeps a checkpoint)", partial(_cancel, record), report, "warn"),
            action_button("Stop immediately", partial(_kill, record), report, "danger"),
        ]
    if can_resume(state):
        return [action_button("Resume with the same settings", resume, report, "success")]
    return []


def _start(settings: Settings, options: Sequence[str], title: str) -> str:
    record = run_process.start(settings, options, title)
    remember({RUN_PARAMETER: record.name})
    return f"Started {record.name}."


def _cancel(record: RunRecord) -> str:
    run_process.cancel(record)
    return "Cancelling: training stops after the current step."


def _kill(record: RunRecord) -> str:
    run_process.kill(record)
    return "Stopped."
