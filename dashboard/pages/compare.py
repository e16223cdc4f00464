"""Compare: two models side by side, and the training curves of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.queries.comparison import (
    CHANGES,
    RecordedEvaluation,
    choices,
    confusion_counts,
    default_choices,
    dimensions,
    drawn_label,
    figure_rows,
    label_rows,
    natural_comparison,
    only,
    paired_test,
    paired_test_text,
    read_evaluation,
    recorded_answers,
    reliability_line,
    roc_line,
    setting_rows,
    slice_line,
)
from dashboard.queries.versions import NOTHING_YET, Registry, experiment_of, store_exists
from dashboard.widgets.figures import (
    FEW_LABELS,
    SQUARE_HEIGHT,
    Line,
    confusion,
    confusion_height,
    intervals,
    intervals_height,
    lines,
    unit_square,
)
from dashboard.widgets.layout import Panel, capitalised, column, grid_of, lazy_plot, notice, paragraph, table
from review_sentiment.errors import DataError, TrackingError
from review_sentiment.names import shortened
from review_sentiment.training.curves import CURVES

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from dashboard.settings_form import Form
    from review_sentiment.tracking.recorded_runs import RecordedRun

Pair = tuple[RecordedEvaluation, RecordedEvaluation]
BY_LABEL = "By label, in production"
BALANCED = "Balanced: as many reviews of each label"
MAX_OVERLAID = 6
"""Runs in one figure: as many as there are colours."""
OVERLAID_HEIGHT = 420
ROWS_PER_PAGE = 10
RUNS_LISTED = (30, 200)
REVIEW_PIXELS = 320


def choosers(registry: Registry, first: str, second: str) -> mo.ui.dictionary:
    """Return the choices of two models, set to the named ones if they exist."""
    titles = list(choices(registry))
    if not titles:
        return mo.ui.dictionary({})
    made = {}
    wanted = {"first": first, "second": second}
    for (place, name), default in zip(wanted.items(), default_choices(registry), strict=True):
        value = name if name in titles else default
        made[place] = mo.ui.dropdown(titles, value=value, label=f"{place.title()} model", searchable=True)
    return mo.ui.dictionary(made)


def read_pair(registry: Registry, chosen: dict[str, str]) -> tuple[Pair | None, mo.Html | None]:
    """Return the evaluations of the chosen models, or a notice if there are none."""
    if not registry.versions:
        return None, notice("Nothing to compare", NOTHING_YET, "info")
    known = choices(registry)
    try:
        first, second = (read_evaluation(known[chosen[place]]) for place in ("first", "second"))
    except (DataError, TrackingError) as error:
        return None, notice("No evaluation", str(error), "warn")
    return (first, second), None


def figures_view(pair: Pair) -> mo.Html:
    """Show the figures of two models with their intervals: as in production, and on balanced reviews."""
    first, second = (recorded.choice for recorded in pair)
    titles = first.title, second.title
    views = []
    try:
        natural = natural_comparison(first, second)
    except (DataError, TrackingError) as error:
        views.append(paragraph(f"No comparison at the natural share: {error}"))
    else:
        rules = zip(titles, natural.rules, strict=True)
        views += [
            table((capitalised(natural.figures[1].share_text()), *titles, "Difference"), natural.rows()),
            *(paragraph(f"{title} answers {rule}.", small=True) for title, rule in rules),
            paragraph(paired_test_text(natural.test, *titles, "natural")),
            mo.accordion(
                {"By label, in production": table(_label_heading(titles), label_rows(natural.figures))}
            ),
        ]
    views.append(table((BALANCED, *titles), figure_rows(pair)))
    return column(views)


def pictures_view(pair: Pair) -> Panel:
    """Show the paired test, the plots and the different settings of two models."""
    titles = [recorded.choice.title for recorded in pair]
    test, categories = _paired_test_view(pair)
    rows = setting_rows(*(recorded.choice.version for recorded in pair))
    settings = table(("Setting", *titles), rows) if rows else paragraph("None.")
    many = any(len(one.labels) > FEW_LABELS for one in pair)
    plots = [
        grid_of(_confusions(pair), min_rem=40 if many else 20),
        grid_of(_curves(pair)),
        grid_of(_slices(pair), min_rem=24),
    ]
    tables = mo.accordion({"Gain by category": categories, "Settings that differ": settings})
    controls = [control for panel in plots for control in panel.controls]
    return Panel(column([test, *(panel.view for panel in plots), tables]), tuple(controls))


def change_chooser() -> mo.ui.dropdown:
    """Return the choice of which reviews to show."""
    return mo.ui.dropdown(list(CHANGES), value="changed", label="Reviews")


def answers_view(pair: Pair, change: str) -> mo.ui.table:
    """Show the reviews of one of `CHANGES` in a table that can be searched and sorted."""
    answers = recorded_answers(pair[0].choice, pair[1].choice)
    chosen = only(answers, change)
    return mo.ui.table(
        chosen,
        selection=None,
        page_size=ROWS_PER_PAGE,
        pagination=True,
        wrapped_columns=["review"],
        column_widths={"review": REVIEW_PIXELS},
        show_column_summaries=False,
        show_data_types=False,
        label=f"{len(chosen)} of {len(answers)} reviews; answers of the decision rules",
    )


def list_chooser() -> mo.ui.dropdown:
    """Return the choice of how many runs to list: reading 200 from MLflow takes most of a second."""
    options = {f"the {count} newest runs": count for count in RUNS_LISTED}
    return mo.ui.dropdown(options, value=next(iter(options)), label="Choose from")


def read_runs(form: Form, count: int) -> list[RecordedRun]:
    """Return the newest runs of the form's experiment."""
    from review_sentiment.tracking.recorded_runs import list_recorded

    return list_recorded(experiment_of(form), count) if store_exists() else []


def run_choosers(runs: Sequence[RecordedRun]) -> mo.ui.dictionary:
    """Return the choices of runs, by default the newest two, and of a curve."""
    titles = {_title(run): run.run_id for run in runs if "train/loss" in run.metrics}
    return mo.ui.dictionary(
        {
            "runs": mo.ui.multiselect(
                titles, value=list(titles)[:2], label="Runs", max_selections=MAX_OVERLAID, full_width=True
            ),
            "figure": mo.ui.dropdown(
                {title: name for name, title in CURVES.items()}, value="loss", label="Curve"
            ),
        }
    )


def overlaid_view(runs: Sequence[RecordedRun], run_ids: Sequence[str], name: str) -> Panel:
    """Show one curve of several runs in the same figure."""
    from review_sentiment.tracking.recorded_runs import recorded_curve

    if not run_ids:
        return Panel(paragraph("Choose the runs whose curves to compare."))
    titles = {run.run_id: _title(run) for run in runs}
    shown = []
    for run_id in run_ids:
        curve = recorded_curve(run_id, name)
        shown.append(Line(titles.get(run_id, run_id[:8]), curve.steps, curve.values))
    title, logarithmic = CURVES[name], name == "loss"
    draw = partial(lines, title, "Optimizer step", "", shown, logarithmic=logarithmic, height=OVERLAID_HEIGHT)
    return lazy_plot(title, OVERLAID_HEIGHT, draw)


def _paired_test_view(pair: Pair) -> tuple[mo.Html, mo.Html]:
    """Return the paired test on balanced reviews in a sentence, and a table of the gains by category."""
    first, second = (recorded.choice for recorded in pair)
    try:
        balanced, natural = paired_test(first, second), natural_comparison(first, second).test
    except (DataError, TrackingError) as error:
        return paragraph(f"No paired test: {error}"), paragraph("No category to compare.")
    rows = [(name, str(natural.categories[name]), str(one)) for name, one in balanced.categories.items()]
    test = paragraph(paired_test_text(balanced, first.title, second.title, "balanced"))
    return test, table(("Category", "Accuracy gain in production (p with Holm's correction)", BALANCED), rows)


def _label_heading(titles: Sequence[str]) -> list[str]:
    return ["Label", "Share", *(f"{name}, {title}" for name in ("Precision", "Recall") for title in titles)]


def _confusions(pair: Pair) -> list[Panel]:
    return [
        lazy_plot(
            f"Confusion matrix of {one.choice.title}",
            confusion_height(one.labels),
            partial(confusion, one.choice.title, *confusion_counts(one)),
        )
        for one in pair
    ]


def _curves(pair: Pair) -> list[Panel]:
    label = drawn_label(pair[1])
    shown = [one for one in pair if label in one.labels]
    roc, reliability = (f"{curve} of “{shortened(label)}”" for curve in ("ROC", "Reliability"))

    def draw_roc() -> go.Figure:
        curves = [roc_line(one, label) for one in shown]
        return unit_square(roc, "False positive rate", "True positive rate", curves)

    def draw_reliability() -> go.Figure:
        curves = [reliability_line(one, label) for one in shown]
        return unit_square(reliability, "Predicted probability", "Fraction of positives", curves)

    return [
        lazy_plot(roc, SQUARE_HEIGHT, draw_roc),
        lazy_plot(reliability, SQUARE_HEIGHT, draw_reliability),
    ]


def _slices(pair: Pair) -> list[Panel]:
    panels = []
    for dimension in dimensions(pair):
        title, shown = f"Accuracy by {dimension}", [slice_line(one, dimension) for one in pair]
        draw = partial(intervals, title, "Accuracy", shown)
        panels.append(lazy_plot(title, intervals_height(shown), draw))
    return panels


def _title(run: RecordedRun) -> str:
    rank, rate = run.parameters.get("lora/rank", "?"), run.parameters.get("training/learning_rate", "?")
    return f"{run.started.astimezone():%m-%d %H:%M:%S} rank {rank}, rate {rate} ({run.run_id[:6]})"
