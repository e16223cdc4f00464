"""The page that puts two models side by side, and curves of several runs over each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.queries.comparison import (
    CHANGES,
    Choice,
    RecordedEvaluation,
    choices,
    confusion_counts,
    default_choices,
    dimensions,
    figure_rows,
    only,
    paired_test,
    paired_test_text,
    read_evaluation,
    reliability_line,
    roc_line,
    setting_rows,
    slice_line,
)
from dashboard.queries.versions import NOTHING_YET, Registry, experiment_of, store_exists
from dashboard.widgets.figures import (
    CONFUSION_HEIGHT,
    SQUARE_HEIGHT,
    Line,
    confusion,
    intervals,
    intervals_height,
    lines,
    unit_square,
)
from dashboard.widgets.layout import Shown, column, grid, notice, plot_when_seen, said, table
from review_sentiment.errors import DataError
from review_sentiment.training.curves import CURVES

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from dashboard.settings_form import Form
    from review_sentiment.tracking.model_versions import ModelVersion
    from review_sentiment.tracking.recorded_runs import RecordedRun

MOST_OVERLAID = 6
"""Runs whose curves are drawn over each other: as many as there are colours."""
OVERLAID_HEIGHT = 420
ROWS_SHOWN = 10
RUNS_LISTED = (30, 200)
REVIEW_PIXELS = 320


def choosers(registry: Registry, first: str, second: str) -> mo.ui.dictionary:
    """Return the choice of two models; what the address names where it is there."""
    titles = list(choices(registry))
    if not titles:
        return mo.ui.dictionary({})
    begin = default_choices(registry)
    values = [
        name if name in titles else default for name, default in zip((first, second), begin, strict=True)
    ]
    return mo.ui.dictionary(
        {
            "first": mo.ui.dropdown(titles, value=values[0], label="first", searchable=True),
            "second": mo.ui.dropdown(titles, value=values[1], label="second", searchable=True),
        }
    )


def read_pair(
    registry: Registry, chosen: dict[str, str]
) -> tuple[tuple[RecordedEvaluation, RecordedEvaluation] | None, mo.Html | None]:
    """Return the evaluations of the chosen models, or what to show where there are none."""
    if not registry.versions:
        return None, notice("Nothing to compare", NOTHING_YET, "info")
    known = choices(registry)
    try:
        first, second = (read_evaluation(known[chosen[place]]) for place in ("first", "second"))
    except DataError as error:
        return None, notice("No such evaluation", str(error), "warn")
    return (first, second), None


def figures_view(pair: tuple[RecordedEvaluation, RecordedEvaluation]) -> mo.Html:
    """Show the figures of two models with their intervals: they are recorded, nothing is computed."""
    return table(("", *(recorded.choice.title for recorded in pair)), figure_rows(pair))


def pictures_view(registry: Registry, pair: tuple[RecordedEvaluation, RecordedEvaluation]) -> Shown:
    """Show the paired test and the pictures of two models."""
    titles = [recorded.choice.title for recorded in pair]
    try:
        found = paired_test(pair[0].choice, pair[1].choice)
        test = said(paired_test_text(found, titles[1]))
        categories = table(
            ("category (p by Holm)", "gain"), [(name, str(one)) for name, one in found.categories.items()]
        )
    except DataError as error:
        test, categories = said(f"No paired test: {error}"), None
    rows = setting_rows(*(_version(registry, recorded.choice) for recorded in pair))
    matrices, curves, slices = _confusions(pair), _curves(pair), _slices(pair)
    view = column(
        [
            test,
            grid([shown.view for shown in matrices]),
            grid([shown.view for shown in curves]),
            grid([shown.view for shown in slices], least_rem=24),
            mo.accordion(
                {
                    "Gain by category": categories or said("No category to compare."),
                    "Settings that differ": table(("setting", *titles), rows) if rows else said("None."),
                }
            ),
        ]
    )
    return Shown(view, tuple(shown.controls for shown in (*matrices, *curves, *slices)))


def change_chooser() -> mo.ui.dropdown:
    """Return the choice of which reviews to show."""
    return mo.ui.dropdown(list(CHANGES), value="changed", label="reviews")


def answers_view(answers: pd.DataFrame, change: str) -> mo.ui.table:
    """Show the reviews of a kind in a table to search and sort."""
    chosen = only(answers, change)
    return mo.ui.table(
        chosen,
        selection=None,
        page_size=ROWS_SHOWN,
        pagination=True,
        wrapped_columns=["review"],
        column_widths={"review": REVIEW_PIXELS},
        show_column_summaries=False,
        show_data_types=False,
        label=f"{len(chosen)} of {len(answers)} reviews",
    )


def list_chooser() -> mo.ui.dropdown:
    """Return the choice of how many runs to ask MLflow for: 200 take it most of a second."""
    options = {f"the newest {count}": count for count in RUNS_LISTED}
    return mo.ui.dropdown(options, value=next(iter(options)), label="choose from")


def read_runs(form: Form, count: int) -> list[RecordedRun]:
    """Return the newest runs of the form's experiment."""
    from review_sentiment.tracking.recorded_runs import list_recorded

    return list_recorded(experiment_of(form), count) if store_exists() else []


def run_choosers(runs: Sequence[RecordedRun]) -> mo.ui.dictionary:
    """Return the choice of runs whose curves are drawn over each other, the newest two first."""
    titles = {_title(run): run.run_id for run in runs if "train/loss" in run.metrics}
    return mo.ui.dictionary(
        {
            "runs": mo.ui.multiselect(
                titles, value=list(titles)[:2], label="runs", max_selections=MOST_OVERLAID, full_width=True
            ),
            "figure": mo.ui.dropdown(
                {title: name for name, title in CURVES.items()}, value="loss", label="figure"
            ),
        }
    )


def overlaid_view(runs: Sequence[RecordedRun], run_ids: Sequence[str], name: str) -> Shown:
    """Show a curve of several runs over each other."""
    from review_sentiment.tracking.recorded_runs import recorded_curve

    if not run_ids:
        return Shown(said("Choose runs: their curves are drawn over each other."))
    titles = {run.run_id: _title(run) for run in runs}
    shown = []
    for run_id in run_ids:
        curve = recorded_curve(run_id, name)
        shown.append(Line(titles.get(run_id, run_id[:8]), curve.steps, curve.values))
    title, logarithmic = CURVES[name], name == "loss"
    draw = partial(lines, title, "optimiser step", "", shown, logarithmic=logarithmic, height=OVERLAID_HEIGHT)
    return plot_when_seen(title, OVERLAID_HEIGHT, draw)


def _confusions(pair: Sequence[RecordedEvaluation]) -> list[Shown]:
    return [
        plot_when_seen(
            f"Answers of {one.choice.title}",
            CONFUSION_HEIGHT,
            partial(confusion, one.choice.title, *confusion_counts(one)),
        )
        for one in pair
    ]


def _curves(pair: Sequence[RecordedEvaluation]) -> list[Shown]:
    label = pair[1].labels[-1]
    roc, reliability = f"ROC of '{label}'", f"Reliability of '{label}'"

    def draw_roc() -> go.Figure:
        return unit_square(roc, "false positive rate", "true positive rate", [roc_line(one) for one in pair])

    def draw_reliability() -> go.Figure:
        return unit_square(
            reliability, "probability said", "share that is so", [reliability_line(one) for one in pair]
        )

    return [
        plot_when_seen(roc, SQUARE_HEIGHT, draw_roc),
        plot_when_seen(reliability, SQUARE_HEIGHT, draw_reliability),
    ]


def _slices(pair: Sequence[RecordedEvaluation]) -> list[Shown]:
    by_dimension = {
        f"Accuracy by {dimension}": [slice_line(one, dimension) for one in pair]
        for dimension in dimensions(pair)
    }
    return [
        plot_when_seen(title, intervals_height(shown), partial(intervals, title, "accuracy", shown))
        for title, shown in by_dimension.items()
    ]


def _version(registry: Registry, choice: Choice) -> ModelVersion | None:
    return next((version for version in registry.versions if version.run_id == choice.run_id), None)


def _title(run: RecordedRun) -> str:
    rank, rate = run.parameters.get("lora/rank", "?"), run.parameters.get("training/learning_rate", "?")
    return f"{run.started.astimezone():%m-%d %H:%M:%S} rank {rank}, rate {rate} ({run.run_id[:6]})"
