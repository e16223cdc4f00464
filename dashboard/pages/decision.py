"""Part of Models: figures in production, the decision rule, and what another threshold would do."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.queries.comparison import Choice, label_rows
from dashboard.queries.decision import (
    LEAST_COVERAGE,
    THOUSAND,
    RecordedDecision,
    effect_rows,
    figure_rows,
    read_decision,
    reliability_lines,
    risk_lines,
    threshold_lines,
    threshold_steps,
)
from dashboard.queries.versions import title_of
from dashboard.widgets.figures import SQUARE_HEIGHT, Line, lines, unit_square
from dashboard.widgets.layout import Panel, capitalised, column, grid_of, lazy_plot, paragraph, table
from review_sentiment.errors import TrackingError
from review_sentiment.names import shortened
from review_sentiment.tracking.mlflow_store import TUNED

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from review_sentiment.tracking.model_versions import ModelVersion

NO_THRESHOLD = 0.5
"""Where the slider starts if the rule has no threshold for the label."""
IN_HINDSIGHT = (
    "A threshold that is chosen on the reviews of the evaluation looks better than it is. To choose one on "
    "validation reviews, for example: python run_pipeline.py decide {version} --precision {target}"
)
LEGEND_PIXELS = 140
"""Below a figure, for a legend with a line per entry."""


def read_or_notice(version: ModelVersion) -> tuple[RecordedDecision | None, mo.Html | None]:
    """Return a version's rule and evaluation, or a text if its evidence is gone."""
    try:
        return read_decision(Choice(title_of(version), version, TUNED)), None
    except TrackingError as error:
        return None, paragraph(str(error))


def figures_view(found: RecordedDecision) -> mo.Html:
    """Show the figures as in production and on balanced reviews, and the rule."""
    heading = ("", capitalised(found.natural.share_text()), "Balanced: the likeliest label")
    rule = f"Decision rule: the answer is {found.rule.in_words()}."
    by_label = table(("Label", "Share", "Precision", "Recall"), label_rows([found.natural]))
    return column(
        [
            table(heading, figure_rows(found)),
            paragraph(rule),
            mo.accordion({"By label, in production": by_label}),
        ]
    )


def threshold_slider(found: RecordedDecision) -> mo.ui.slider:
    """Return the choice of a threshold; the rule's own is selected."""
    own, label = found.reviews.own_threshold, found.reviews.label
    return mo.ui.slider(
        steps=threshold_steps(found.reviews),
        value=NO_THRESHOLD if own is None else own,
        label=f"Answer “{label}” from this probability on",
        show_value=True,
        full_width=True,
    )


def effect_view(found: RecordedDecision, threshold: float) -> mo.Html:
    """Show what a threshold makes of a thousand reviews of production, beside the rule's own."""
    reviews = found.reviews
    shown = {f"from {threshold:.3g} on": threshold}
    if reviews.own_threshold is not None:
        shown[f"the rule: from {reviews.own_threshold:.3g} on"] = reviews.own_threshold
    heading = (f"Of {THOUSAND:,} reviews", *shown)
    share = found.natural.share_text(reviews.label)
    hindsight = IN_HINDSIGHT.format(version=found.version, target=shlex.quote(f"{reviews.label}=0.9"))
    return column(
        [
            table(heading, effect_rows(reviews, list(shown.values()))),
            paragraph(f"Scaled from {found.natural.n:,} evaluation reviews, {share}.", small=True),
            paragraph(hindsight, small=True),
        ]
    )


def curves_view(found: RecordedDecision) -> Panel:
    """Show reliability before and after calibration, figures by threshold, and risk by coverage."""
    label = shortened(found.reviews.label)
    reliability, cutoff = f"Reliability of “{label}”", f"Threshold for “{label}”"
    sure = "Not answering the least certain reviews"
    plots = {
        reliability: partial(
            unit_square,
            reliability,
            "Predicted probability",
            "Fraction of reviews",
            reliability_lines(found.reviews),
        ),
        cutoff: partial(_by_threshold, cutoff, threshold_lines(found.reviews)),
        sure: partial(_by_coverage, sure, risk_lines(found)),
    }
    return grid_of([lazy_plot(title, SQUARE_HEIGHT, draw) for title, draw in plots.items()])


def _by_threshold(title: str, shown: list[Line]) -> go.Figure:
    figure = lines(title, "Threshold", "", shown, height=SQUARE_HEIGHT)
    figure.update_layout(margin_b=LEGEND_PIXELS)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[-0.02, 1.02])
    return figure


def _by_coverage(title: str, shown: list[Line]) -> go.Figure:
    figure = lines(title, "Coverage", "Wrong among answered", shown, height=SQUARE_HEIGHT)
    figure.update_layout(margin_b=LEGEND_PIXELS)
    figure.update_xaxes(range=[LEAST_COVERAGE, 1.01], tickformat=".0%")
    figure.update_yaxes(rangemode="tozero", tickformat=".1%")
    return figure
