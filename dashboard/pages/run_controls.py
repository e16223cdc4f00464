"""Starting, following, cancelling and resuming runs from a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from dashboard.settings_form import command_line, options_of, wants_gpu
from dashboard.widgets.layout import Shown, code, column, notice, said
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.settings_files import load_settings

if TYPE_CHECKING:
    from dashboard.runs.process import RunRecord
    from dashboard.settings_form import Form
    from review_sentiment.config import Settings

RUNS_SHOWN = 50
CURVES_SECONDS = 10.0
"""Between two drawings of a live run's curves. Drawn every 2 s they took a quarter of the speed from a
training on two cores, which has to share them with browser and server."""
Pressed = Callable[[str], None]
"""Told what was pressed: the cells that depend on it look again."""


@dataclass
class Followed:
    """A run that the page shows, the reader of its events, and what was seen of it at the last look."""

    record: RunRecord
    follower: RunFollower
    was_alive: bool
    drawn: float
    """When its curves were drawn, in seconds since 1970."""

    @classmethod
    def named(cls, name: str | None) -> Followed | None:
        """Return the run with a name, or None where there is none."""
        record = next((one for one in run_process.list_runs() if one.name == name), None)
        if record is None:
            return None
        return cls(record, RunFollower(record.event_file), run_process.is_alive(record), time.time())

    @cached_property
    def earlier(self) -> tuple[RunState, ...]:
        """Return what the runs of the same size before this one did."""
        return earlier_runs(self.record)

    @property
    def alive(self) -> bool:
        """Tell whether the run's process is there."""
        return run_process.is_alive(self.record)

    def read(self) -> RunState:
        """Return how the run stands."""
        alive = self.alive  # asked first: the last events come before the end
        return self.follower.read(alive)


def start_view(form: Form, pressed: Pressed) -> Shown:
    """Show the button that starts a run with the form's settings, or why it cannot."""
    if other := run_process.active_run():
        return Shown(said(f"The run {other.name} is going on; one runs at a time."))
    if form.settings is None:
        text = f"The settings are not right yet: see {CONFIGURE}."
        return Shown(notice("Cannot be started", text, "warn"))
    if wants_gpu(form) and not has_gpu(read_machine()):
        text = (
            "These settings ask for a GPU, and there is none that can be used: see Machine. "
            "Choose model.device=auto or cpu and the stack local."
        )
        return Shown(notice("Cannot be started here", text, "warn"))
    settings = form.settings

    def start(_: object) -> None:
        _do(lambda: _start(settings, options_of(form, Path.cwd()), command_line(form)), pressed)

    button = mo.ui.button(label="Start the run", kind="success", on_click=start)
    return Shown(
        column([button, mo.accordion({"The same as a command": code(command_line(form))})], gap=0.2),
        (button,),
    )


def run_chooser(name: str) -> mo.ui.dropdown:
    """Return a choice of runs: the one that is going on, else the one of the address, else the newest."""
    names = [record.name for record in run_process.list_runs()[:RUNS_SHOWN]]
    active = run_process.active_run()
    chosen = active.name if active else name if name in names else next(iter(names), None)
    return mo.ui.dropdown(
        names, value=chosen, label="run", on_change=lambda value: remember({RUN_PARAMETER: value or ""})
    )


def run_view(followed: Followed | None) -> mo.Html:
    """Show how a run stands."""
    if followed is None:
        return notice("No run yet", f"Choose settings under {CONFIGURE}, then start one here.", "info")
    state = followed.read()
    left = None if state.ended else time_left(state, followed.earlier, time.time())
    return progress_view(followed.record, state, left)


def note_end(followed: Followed | None, pressed: Pressed) -> None:
    """Let the cells with buttons look again when a run that they took for alive has ended."""
    if followed is not None and followed.was_alive and not followed.alive:
        followed.was_alive = False
        pressed(f"{time.time()} ")


def note_curves(followed: Followed | None, due: Callable[[float], None]) -> None:
    """Let the curves of a run that is going on be drawn again when the last drawing is old enough."""
    now = time.time()
    if followed is not None and followed.alive and now - followed.drawn >= CURVES_SECONDS:
        followed.drawn = now
        due(now)


def end_controls(followed: Followed | None, last: str, pressed: Pressed) -> Shown:
    """Show what can be done about a run; `last` is the time and what the last press led to."""
    if followed is None:
        return Shown(None)
    outcome = last.partition(" ")[2]
    buttons = _buttons(followed.record, followed.alive, followed.read(), pressed)
    view = column([mo.hstack(buttons, justify="start", wrap=True), said(outcome) if outcome else None])
    return Shown(view, tuple(buttons))


def live_curves_view(followed: Followed | None) -> mo.Html | None:
    """Show the curves of the training that a run does or did."""
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


def _buttons(record: RunRecord, alive: bool, state: RunState, pressed: Pressed) -> list[mo.ui.button]:
    def cancel(_: object) -> None:
        _do(lambda: _cancel(record), pressed)

    def kill(_: object) -> None:
        _do(lambda: _kill(record), pressed)

    def resume(_: object) -> None:
        _do(lambda: _start(load_settings(record.settings_file), record.options, record.title), pressed)

    if alive:
        return [
            mo.ui.button(label="Cancel (keeps a checkpoint)", kind="warn", on_click=cancel),
            mo.ui.button(label="End it at once", kind="danger", on_click=kill),
        ]
    if not can_resume(state):
        return []
    return [mo.ui.button(label="Resume with the same settings", kind="success", on_click=resume)]


def _start(settings: Settings, options: Sequence[str], title: str) -> str:
    record = run_process.start(settings, options, title)
    remember({RUN_PARAMETER: record.name})
    return f"Started {record.name}."


def _cancel(record: RunRecord) -> str:
    run_process.cancel(record)
    return "Told to stop: a training ends after its present step."


def _kill(record: RunRecord) -> str:
    run_process.kill(record)
    return "Ended."


def _do(action: Callable[[], str], pressed: Pressed) -> None:
    """Do what a button is for; what is said of it, or of its failure, is passed on with the time."""
    try:
        outcome = action()
    except ReviewSentimentError as error:
        outcome = str(error)
    pressed(f"{time.time()} {outcome}")
