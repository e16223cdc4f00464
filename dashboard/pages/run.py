"""A run: its outcome or progress first, then curves, steps, log, resources, settings and artifacts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Route

from dashboard.pages.runs import experiment_of
from dashboard.queries import zenml_store
from dashboard.queries.curves import drawn_curves
from dashboard.queries.runs import Run, outcomes, read_details, read_runs
from dashboard.rendering import not_found, render
from dashboard.runs import process as run_process
from dashboard.runs.failures import Explanation, can_resume, explain
from dashboard.runs.local import LocalRun, find_local
from dashboard.runs.log import log_of
from dashboard.runs.progress import WAITING, RunState, StepState, step_number
from dashboard.runs.resources import resources_of
from dashboard.runs.step_graph import MARKS, draw_steps, step_text
from dashboard.runs.time_left import RUNS_READ, TimeLeft, earlier_runs, estimated_run, time_left
from review_sentiment.config import Settings
from review_sentiment.errors import ReviewSentimentError, UsageError
from review_sentiment.settings_files import flat, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import plotly.graph_objects as go
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response

    from dashboard.queries.zenml_store import StoredDetails

EXPLAINED = {"failed", "interrupted", "lost"}
NO_RUN = "It may have been deleted, or it is in another store. The list has all runs of this store."


@dataclass(frozen=True)
class Values:
    """The settings of a run, as text: those that differ from the defaults, and all of them."""

    changed: Mapping[str, tuple[str, str]]
    """The value and the default."""
    all: Mapping[str, str]


def run(request: Request) -> HTMLResponse:
    """Show a run."""
    found = read_runs(request).find(request.path_params["name"])
    if found is None:
        return not_found(request, f"run {request.path_params['name']}", "Runs", NO_RUN)
    try:
        details, problem = read_details(request, found.name), ""
    except ReviewSentimentError as error:
        details, problem = zenml_store.StoredDetails(), str(error)
    state, values = _state_of(found, details), _values(found, details)
    figures, curve_problem = _figures(found, values)
    left = _time_left(request, found, state, details)
    return render(
        request,
        "run.html",
        run=found,
        state=state,
        problem=problem,
        outcome=outcomes([found]).get(found.name),
        explanation=_explanation(found, state, values),
        left=left,
        passed=time.time() - state.since,
        number=step_number(state),
        stopping=_stopping(found, state),
        confirming=request.query_params.get("confirm") == "stop" and found.in_progress,
        is_here=found.local is not None and found.local.process is not None,
        resumable=_resumable(found, state),
        figures=figures,
        curve_problem=curve_problem,
        graph=draw_steps(state.steps, {step.name: step.upstream for step in details.steps})
        if details.steps
        else None,
        step_text={name: step_text(step, time.time()) for name, step in state.steps.items()},
        marks=MARKS,
        log=log_of(found.local.log if found.local else "", details.logs),
        resources=resources_of(found.local.process) if found.local else {},
        values=values,
        artifacts=details.artifacts,
    )


def cancel(request: Request) -> Response:
    """Stop a run after its current step, as Ctrl-C does."""
    return _asked(request, LocalRun.cancel)


def stop(request: Request) -> Response:
    """Kill a run."""
    return _asked(request, LocalRun.kill)


def resume(request: Request) -> Response:
    """Start a run with the settings of one that the dashboard started and that did not complete."""
    local = find_local(request.path_params["name"])
    if local is None or local.record is None:
        return not_found(request, f"run {request.path_params['name']}", "Runs", NO_RUN)
    record = local.record
    started = run_process.start(load_settings(record.settings_file), record.options, record.title)
    return RedirectResponse(f"/runs/{started.name}", 303)


def _asked(request: Request, what: Callable[[LocalRun], None]) -> Response:
    local = find_local(request.path_params["name"])
    if local is None:
        return not_found(request, f"run {request.path_params['name']}", "Runs", NO_RUN)
    what(local)
    return RedirectResponse(f"/runs/{local.name}", 303)


def _state_of(found: Run, details: StoredDetails) -> RunState:
    """Return the run's state from its events or, if this machine does not have them, from ZenML's steps."""
    stored = {
        step.name: StepState(
            step.name,
            step.status or WAITING,
            max(0.0, step.until - step.since) if step.until else 0.0,
            step.since,
        )
        for step in details.steps
    }
    state = found.local.read() if found.local else RunState(since=found.since, stack=found.stack)
    if state.status == "detached" or found.local is None:
        until = found.since + (found.seconds or 0.0)
        return replace(state, status=found.status, steps=stored, until=until)  # type: ignore[arg-type]
    return state if state.steps else replace(state, steps=stored)


def _values(found: Run, details: StoredDetails) -> Values:
    """Return the run's settings, as ZenML has them or, before it does, from the file of its start."""
    values = dict(details.settings)
    record = found.local.record if found.local else None
    if not values and record is not None and record.settings_file.is_file():
        try:
            values = {key: str(value) for key, value in flat(load_settings(record.settings_file)).items()}
        except UsageError:  # of another version of this project
            values = {}
    defaults = {key: str(value) for key, value in flat(Settings()).items()}
    changed = {
        key: (value, defaults.get(key, "")) for key, value in values.items() if value != defaults.get(key)
    }
    return Values(changed, values)


def _figures(found: Run, values: Values) -> tuple[Mapping[str, go.Figure], str]:
    try:
        return drawn_curves(found, experiment_of(values.all)), ""
    except ReviewSentimentError as error:
        return {}, str(error)


def _explanation(found: Run, state: RunState, values: Values) -> Explanation | None:
    if state.status not in EXPLAINED:
        return None
    record = found.local.record if found.local else None
    if found.local is None:
        text = "Its events are on the machine that it ran on. The log, if this machine can read it, is below."
        return Explanation(found.status_word.capitalize(), text)
    return explain(state, values.all, record.errors if record else "")


def _stopping(found: Run, state: RunState) -> str:
    """Return what a run that was asked to stop still does, or an empty text."""
    if not found.in_progress or not state.stop_asked:
        return ""
    task = state.progress
    if state.stop_asked == "cancel" and task and task.task == "training":
        return f"Stopping after step {min(task.total, task.done + 1)} …"
    return "Stopping …"


def _resumable(found: Run, state: RunState) -> bool:
    local = found.local
    return local is not None and local.record is not None and not found.in_progress and can_resume(state)


def _time_left(request: Request, found: Run, state: RunState, details: StoredDetails) -> TimeLeft | None:
    """Return how long a run of this machine will take, from earlier runs or else from an estimate."""
    if state.ended or found.local is None or not state.steps:
        return None
    newest = [run.local for run in read_runs(request).runs[:RUNS_READ] if run.local]
    settings = zenml_store.stored_settings([run.name for run in newest])
    earlier = earlier_runs(found.name, newest, settings)
    if (left := time_left(state, earlier, time.time())) is not None or not details.parameters:
        return left
    steps = tuple(state.steps)
    job = request.app.state.jobs.ask(
        "computations",
        ("estimated run", found.name),
        estimated_run,
        Settings.model_validate(details.parameters),
        steps,
        state.stack,
    )
    return time_left(state, [*earlier, job.result], time.time()) if job.result else None


routes = [
    Route("/runs/{name}", run),
    Route("/runs/{name}/cancel", cancel, methods=["POST"]),
    Route("/runs/{name}/stop", stop, methods=["POST"]),
    Route("/runs/{name}/resume", resume, methods=["POST"]),
]
