"""The page of a run: its steps, its progress, its curves, and how it ended."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.runs.failures import explain
from dashboard.runs.progress import RunState, StepState, fraction_done, step_number
from dashboard.widgets.figures import Line, lines
from dashboard.widgets.layout import bar, clock, grid, notice, plot, said, table
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
ENDED_WORDS = STEP_WORDS | {"waiting": "not begun"}


def progress_view(record: RunRecord, state: RunState, left: TimeLeft | None) -> mo.Html:
    """Show where a run stands; `left` is the time of the whole run, where earlier runs tell it."""
    parts: list[mo.Html] = [
        mo.Html(
            f"<b>Run {html.escape(record.name)}: <span data-testid=run-status>{state.status}</span></b>"
            f"<div class=rs-small>{html.escape(record.title)}</div>"
        )
    ]
    if state.status == "starting":
        parts.append(said("The process has started; its first words take some seconds."))
    if state.ended:
        parts.append(end_view(record, state))
    else:
        parts += run_bars(state, left)
    parts.append(steps_view(state))
    warnings = [text for level, text in state.messages if level != "info"]
    parts += [said(f"! {text}") for text in warnings]
    return mo.vstack(parts)


def run_bars(state: RunState, left: TimeLeft | None) -> list[mo.Html]:
    """Show how far the run is, by its time where that is known, else by its steps; and the present task."""
    if not state.steps:
        return []
    number = f"step {step_number(state)} of {len(state.steps)}"
    if left is None:
        text = f"{number}. The time left of the whole run is known once a run of this size has ended."
        bars = [bar(fraction_done(state), text)]
    else:
        late = ", which takes longer than before" if left.bound == "more than" else ""
        bars = [bar(left.share, f"{left.bound} {clock(left.seconds)} left of the run, {number}{late}")]
    if task := state.progress:
        parts = [f"{task.task} {task.done} of {task.total}"]
        parts += [] if task.seconds_left is None else [f"{clock(task.seconds_left)} left of this task"]
        parts += [task.detail] if task.detail else []
        bars.append(bar(task.done / max(1, task.total), ", ".join(parts)))
    return bars


def steps_view(state: RunState) -> mo.Html:
    """Show the steps in order, with their state and time."""
    words = ENDED_WORDS if state.ended else STEP_WORDS
    rows = [
        f"<li><span class=mark aria-hidden=true>{STEP_MARKS.get(step.status, '?')}</span>"
        f"<span class=name>{html.escape(step.name)}</span>"
        f"<span>{html.escape(words.get(step.status, step.status))}{_time(step)}</span></li>"
        for step in state.steps.values()
    ]
    return mo.Html(f"<ol class=rs-steps data-testid=steps>{''.join(rows)}</ol>")


def end_view(record: RunRecord, state: RunState) -> mo.Html:
    """Say how a run ended, and what to do next."""
    if state.status == "completed":
        return mo.vstack(
            [
                notice(
                    "Completed",
                    f"in {clock(state.seconds)}. Compare and Models show what it made.",
                    "success",
                ),
                result_view(state.result),
            ]
        )
    found = explain(state, record.settings_file, record.errors)
    return notice(found.title, found.text, "warn" if state.status == "interrupted" else "danger")


def result_view(result: Mapping[str, object]) -> mo.Html:
    """Show the headline figures of a result as `--json` prints it."""
    metrics = result.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        return said("No figures.")
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
    return table(("model", "accuracy (95 %)", "F1", "ROC AUC", "unparsed", "reviews"), rows)


def curves_view(curves: Mapping[str, Curve]) -> mo.Html:
    """Show the live figures of a training."""
    if not curves:
        return said(
            "Curves appear with the first optimiser step. A training from the cache has none of its own."
        )
    return grid(
        [
            plot(
                lines(
                    CURVES[name],
                    "optimiser step",
                    "",
                    [Line(name, curve.steps, curve.values)],
                    logarithmic=name == "loss",
                )
            )
            for name, curve in curves.items()
        ]
    )


def _time(step: StepState) -> str:
    if step.status == "running":
        return f", {clock(time.time() - step.since)}"
    return f", {clock(step.seconds)}" if step.status in {"completed", "failed", "interrupted"} else ""
