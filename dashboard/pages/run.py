"""Run, the part to look at: a run's steps, progress and curves, and how it ended."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.runs.failures import explain
from dashboard.runs.progress import RunState, StepState, fraction_done, step_number
from dashboard.widgets.figures import Line, lines
from dashboard.widgets.layout import bar, clock, column, grid, notice, paragraph, plot, table
from review_sentiment.training.curves import CURVES

if TYPE_CHECKING:
    from dashboard.runs.process import RunRecord
    from dashboard.runs.time_left import TimeLeft
    from review_sentiment.tracking.recorded_runs import Curve

STEP_MARKS = {
    "waiting": "·",
    "running": "▶",
    "cached": "↺",
    "completed": "✓",
    "failed": "✗",
    "interrupted": "■",
}
STEP_WORDS = {"completed": "done"}
ENDED_WORDS = STEP_WORDS | {"waiting": "not started"}


def progress_view(record: RunRecord, state: RunState, left: TimeLeft | None) -> mo.Html:
    """Show how far a run is; `left` is None if no earlier run tells how long it will take."""
    heading = (
        f"<b>Run {html.escape(record.name)}: <span data-testid=run-status>{state.status}</span></b>"
        f"<div class=rs-small>{html.escape(record.title)}</div>"
    )
    parts = [mo.Html(heading)]
    if state.status == "starting":
        parts.append(paragraph("The process has started. The first progress report takes a few seconds."))
    parts += [end_view(record, state)] if state.ended else run_bars(state, left)
    parts.append(steps_view(state))
    parts += [paragraph(f"! {text}") for level, text in state.messages if level != "info"]
    return column(parts)


def run_bars(state: RunState, left: TimeLeft | None) -> list[mo.Html]:
    """Show the run's progress, by time if that is known or else by steps, and its current task's."""
    if not state.steps:
        return []
    number = f"step {step_number(state)} of {len(state.steps)}"
    if left is None:
        text = f"{number}. The time left is shown once a run of this size has completed."
        bars = [bar(fraction_done(state), text)]
    else:
        late = ", slower than last time" if left.bound == "more than" else ""
        bars = [bar(left.fraction, f"{left.bound} {clock(left.seconds)} left of the run, {number}{late}")]
    if task := state.progress:
        parts = [f"{task.task} {task.done} of {task.total}"]
        parts += [] if task.seconds_left is None else [f"{clock(task.seconds_left)} left of this task"]
        parts += [task.detail] if task.detail else []
        bars.append(bar(task.done / max(1, task.total), ", ".join(parts)))
    return bars


def steps_view(state: RunState) -> mo.Html:
    """Show the steps in order, with their status and time."""
    words = ENDED_WORDS if state.ended else STEP_WORDS
    rows = [
        f"<li><span class=mark aria-hidden=true>{STEP_MARKS.get(step.status, '?')}</span>"
        f"<span class=name>{html.escape(step.name)}</span>"
        f"<span>{html.escape(words.get(step.status, step.status))}{_time(step)}</span></li>"
        for step in state.steps.values()
    ]
    return mo.Html(f"<ol class=rs-steps data-testid=steps>{''.join(rows)}</ol>")


def end_view(record: RunRecord, state: RunState) -> mo.Html:
    """Show how a run ended, and what to do next."""
    if state.status == "completed":
        text = f"in {clock(state.seconds)}. See Compare and Models for the result."
        return column([notice("Completed", text, "success"), result_view(state.result)])
    found = explain(state, record.settings_file, record.errors)
    return notice(found.title, found.text, "warn" if state.status == "interrupted" else "danger")


def result_view(result: Mapping[str, object]) -> mo.Html:
    """Show the headline figures of a result, which has the format of `--json`."""
    metrics = result.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return paragraph("No figures.")
    rows = [
        (
            name,
            f"{found['accuracy']:.3f} ({found['accuracy_low']:.3f}-{found['accuracy_high']:.3f})",
            f"{found['f1']:.3f}",
            f"{found['roc_auc']:.3f}",
            f"{found['unparsed_rate']:.1%}",
            f"{found['n']:.0f}",
        )
        for name, found in metrics.items()
    ]
    return table(("Model", "Accuracy (95 %)", "F1", "ROC AUC", "Unparsed", "Reviews"), rows)


def curves_view(curves: Mapping[str, Curve]) -> mo.Html:
    """Show the curves of a training run."""
    if not curves:
        return paragraph(
            "Curves appear after the first optimizer step. If training comes from the cache, there are none."
        )
    figures = [
        lines(
            CURVES[name],
            "Optimizer step",
            "",
            [Line(name, curve.steps, curve.values)],
            logarithmic=name == "loss",
        )
        for name, curve in curves.items()
    ]
    return grid(map(plot, figures))


def _time(step: StepState) -> str:
    if step.status == "running":
        return f", {clock(time.time() - step.since)}"
    return f", {clock(step.seconds)}" if step.status in {"completed", "failed", "interrupted"} else ""
