"""Learn: how LoRA and quantisation work, shown on this project's own weights, runs and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import marimo as mo
import numpy as np

from dashboard.explain.four_bit import histogram, read_rounding, weight_names
from dashboard.explain.low_rank import energy, projections, spectra, subsample, updates_of
from dashboard.explain.rank_choice import rank_sweep
from dashboard.queries.versions import NOTHING_YET
from dashboard.widgets.figures import Line, bars, heatmap, histogram_with_levels, lines
from dashboard.widgets.layout import column, grid, notice, paragraph, plot, table
from review_sentiment.errors import ReviewSentimentError, TrackingError
from review_sentiment.evaluation.examples import confidence_of, rows_by_group

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.tracking.model_versions import ModelVersion

MISTAKES_SHOWN = 6
WHY_LORA = """
### Why LoRA works
Fine-tuning changes a weight matrix W by an update D. For a narrow task, most of D lies in a few directions.
LoRA therefore writes D as the product of two thin matrices, D = scale · B A. With rank r, A and B have
r · (in + out) numbers instead of the in · out of D. Only A and B are trained; W stays frozen.

The bars below are the singular values of D: how strongly it acts in each of its directions. If they fall off
quickly, a smaller rank would have been enough.
"""
WHAT_NF4 = """
### What quantisation does
QLoRA stores the frozen W in 4 bits per weight. It divides each block of 64 weights by the block's largest
magnitude, and rounds the results to one of 16 levels. Most weights are close to zero, so NF4 places most of
its levels there (the vertical lines below); evenly spaced levels would be wasted on rare values.

Only the frozen weights are rounded. A and B stay in 16 or 32 bits. They are trained on top of the rounded W,
so they can make up for part of the rounding error.
"""
CHOOSING_RANK = (
    "A higher rank can learn more, but needs more memory and time. Choose the smallest rank beyond which the "
    "score on validation reviews no longer rises by more than its noise. Raise alpha together with the rank, "
    "because the update is scaled by alpha / rank."
)
FULL_TUNING = """
### When to use full fine-tuning instead
Consider it if the task is far from what the model knows (another language, another kind of text), there are
very many examples, and larger ranks keep improving the score.

It costs memory. Full fine-tuning with Adam takes 16 bytes per weight for the weight, its gradient and the
optimizer's state: about 130 GB for 8 billion weights, before activations. QLoRA takes half a byte per frozen
weight, and 16 bytes only for each trained one. For labelling reviews, the sweep above shows whether a higher
rank still helps.
"""


def update_choosers(version: ModelVersion | None) -> mo.ui.dictionary:
    """Return the choices of an update: its projection, its layer, and how many directions to keep."""
    if version is None:
        return mo.ui.dictionary({})
    updates = updates_of(version)
    names = projections(updates)
    layers = sorted({update.layer for update in updates})
    rank = updates[0].a.shape[0]
    return mo.ui.dictionary(
        {
            "projection": mo.ui.dropdown(names, value=names[0], label="Projection"),
            "layer": mo.ui.slider(
                steps=layers, value=layers[len(layers) // 2], label="Layer", show_value=True
            ),
            "rank": mo.ui.slider(1, rank, value=max(1, rank // 4), label="Directions kept", show_value=True),
        }
    )


def low_rank_view(version: ModelVersion | None, chosen: Mapping[str, Any]) -> mo.Html:
    """Show the singular values of a version's updates, and one update with fewer directions."""
    if version is None:
        return notice("No adapter yet", NOTHING_YET, "info")
    updates = updates_of(version)
    projection, layer, kept = chosen["projection"], chosen["layer"], chosen["rank"]
    by_layer = spectra(updates, projection)
    update = next(one for one in updates if (one.projection, one.layer) == (projection, layer))
    values = by_layer[layer]
    rows, columns = update.b.shape[0], update.a.shape[1]
    bar_heights = {str(number): float(value) for number, value in enumerate(values, start=1)}
    figures = [
        heatmap(
            f"Singular values of {projection} by layer",
            "Direction",
            "Layer",
            np.stack([by_layer[number] for number in sorted(by_layer)]),
            first_column=1,
        ),
        bars(f"Singular values of layer {layer}", "Direction", "", bar_heights),
        heatmap("The update", "In", "Out", subsample(update.full), signed=True),
        heatmap(
            f"With {kept} of its directions", "In", "Out", subsample(update.truncated(kept)), signed=True
        ),
    ]
    summary = (
        f"{kept} of {len(values)} directions hold {energy(values, kept):.1%} of this update (of the sum of "
        f"its squares), in {kept * (rows + columns):,} numbers instead of {rows * columns:,}."
    )
    note = "For large matrices, the pictures show every n-th row and column."
    return column([paragraph(summary), grid(map(plot, figures), min_rem=24), paragraph(note, small=True)])


def weight_chooser() -> mo.ui.dropdown | None:
    """Return the choice of one of the embedded model's weights."""
    try:
        names = weight_names()
    except ReviewSentimentError:
        return None
    return mo.ui.dropdown(list(names), value=names[len(names) // 2], label="Weight", searchable=True)


def quantisation_view(name: str | None) -> mo.Html:
    """Show the distribution of a weight's values, and the levels that they are rounded to."""
    if name is None:
        return notice("The embedded model is missing", "make install unpacks it.", "info")
    found = read_rounding(name)
    fractions, edges = histogram(found.weights)
    axis = "Weight divided by its block's largest magnitude"
    return column(
        [
            plot(histogram_with_levels(name, axis, fractions, edges, list(found.levels))),
            paragraph(
                f"Rounding to NF4 changes these weights by {found.error:.1%} (root mean square); 16 evenly "
                f"spaced levels would change them by {found.equal_error:.1%}."
            ),
        ]
    )


def rank_view() -> mo.Html:
    """Show the results of a sweep over the rank."""
    sweep = rank_sweep()
    rows = [
        (
            result.rank,
            result.trials,
            f"{result.macro_f1:.3f} ({result.min_f1:.3f}-{result.max_f1:.3f})",
            f"{result.roc_auc:.3f}",
            f"{result.seconds:.0f}",
        )
        for result in sweep.results
    ]
    ranks = [str(result.rank) for result in sweep.results]
    line = Line("macro-F1", ranks, [result.macro_f1 for result in sweep.results])
    heading = ("Rank", "Trials", "Macro-F1: mean (range)", "ROC AUC", "Seconds")
    figure = plot(lines("Macro-F1 on validation reviews", "Rank", "", [line]))
    return column(
        [
            mo.md("### Choosing the rank"),
            paragraph(CHOOSING_RANK),
            grid([table(heading, rows), figure]),
            paragraph(f"Measured with: {sweep.command}", small=True),
            mo.md(FULL_TUNING),
        ]
    )


def mistakes_view(version: ModelVersion | None) -> mo.Html:
    """Show the wrong answers that a version was most confident about."""
    heading = mo.md("### Most confident mistakes")
    if version is None:
        return column([heading, notice("No answers yet", NOTHING_YET, "info")])
    from review_sentiment.tracking import evidence

    try:
        predictions, reviews = evidence.predictions_of(version), evidence.reviews_of(version)
    except TrackingError as error:
        return column([heading, paragraph(str(error))])
    rows = most_confident_mistakes(predictions, reviews)
    count = int((predictions["gold"] != predictions["predicted"]).sum())
    note = f"{len(rows)} of {count} wrong answers, those with the highest probability first."
    return column([heading, paragraph(note), table(("Review", "Gold label", "Answer", "Probability"), rows)])


def most_confident_mistakes(
    predictions: pd.DataFrame, reviews: pd.DataFrame
) -> list[tuple[str, str, str, str]]:
    """Return text, gold label, answer and probability of wrong answers, the most confident first."""
    wrong = rows_by_group(predictions)["surest_wrong"][:MISTAKES_SHOWN]
    shown = predictions.assign(p=confidence_of(predictions)).loc[wrong]
    texts = reviews.set_index("review_id")[["title", "text"]]
    rows = []
    for row in shown.to_dict("records"):
        title, text = texts.loc[row["review_id"]] if row["review_id"] in texts.index else ("", "")
        whole = ". ".join(filter(None, (title, text)))
        rows.append((whole, str(row["gold"]), str(row["predicted"]), f"{row['p']:.1%}"))
    return rows
