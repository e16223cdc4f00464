"""The page that explains, on this project's own weights, runs and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import marimo as mo
import numpy as np

from dashboard.explain.four_bit import histogram, read_rounding, weight_names
from dashboard.explain.low_rank import Update, energy, projections, spectra, subsample, updates_of
from dashboard.explain.rank_choice import rank_sweep
from dashboard.queries.versions import NOTHING_YET
from dashboard.widgets.figures import Line, bars, heatmap, histogram_with_levels, lines
from dashboard.widgets.layout import column, grid, notice, plot, said, table
from review_sentiment.errors import ReviewSentimentError
from review_sentiment.scoring.answers import labels_of, probability_columns

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.tracking.model_versions import ModelVersion

ERRORS_SHOWN = 6
WHY_LORA = """
### Why LoRA works
Fine-tuning changes a weight W by an update D. For a narrow task most of D lies in a few directions,
so it can be written as a product of two thin matrices, D = B A: with rank r, r (in + out) numbers
instead of in x out. Only A and B are trained; W stays as it is. The bars are the singular values of
D, how much it does in each of its directions. Where they fall off quickly, a smaller rank would
have done.
"""
WHAT_NF4 = """
### What quantisation does
QLoRA keeps the frozen W in 4 bits: weights in blocks of 64 are divided by the largest of their
block and rounded to one of 16 levels. Most weights are near zero, so NF4 puts its levels there (the
vertical lines), where levels of equal distance waste theirs. A and B stay in 16 or 32 bits, and
learn around the rounding error.
"""
FULL_TUNING = """
### When to use full fine-tuning instead
When the task is far from what the model knows (another language, another kind of text), when there
are very many examples, and where the gain of larger ranks does not level off. It takes 16 bytes a
weight for weight, gradient and optimiser (about 130 GB for 8 billion, before activations), where
QLoRA takes half a byte a frozen weight and 16 bytes a trained one. For labels on reviews the sweep
above tells whether more rank still helps.
"""


def update_choosers(version: ModelVersion | None) -> mo.ui.dictionary:
    """Return the choices of a picture of an update: projection, layer, and the rank that is kept."""
    if version is None:
        return mo.ui.dictionary({})
    updates = updates_of(version)
    names = projections(updates)
    rank = updates[0].a.shape[0]
    layers = sorted({update.layer for update in updates})
    return mo.ui.dictionary(
        {
            "projection": mo.ui.dropdown(names, value=names[0], label="projection"),
            "layer": mo.ui.slider(
                steps=layers, value=layers[len(layers) // 2], label="layer", show_value=True
            ),
            "rank": mo.ui.slider(1, rank, value=max(1, rank // 4), label="directions kept", show_value=True),
        }
    )


def low_rank_view(version: ModelVersion | None, chosen: dict[str, object]) -> mo.Html:
    """Show the singular values of a version's updates, and one of them with fewer directions."""
    if version is None:
        return notice("No adapter yet", NOTHING_YET, "info")
    updates = updates_of(version)
    projection, layer, kept = str(chosen["projection"]), int(str(chosen["layer"])), int(str(chosen["rank"]))
    by_layer = spectra(updates, projection)
    update = _find(updates, projection, layer)
    values = by_layer[layer]
    out, into = update.b.shape[0], update.a.shape[1]
    share = energy(values, kept)
    return column(
        [
            said(
                f"{kept} of {len(values)} directions hold {share:.1%} of this update (by squares), in "
                f"{kept * (out + into):,} numbers instead of {out * into:,}."
            ),
            grid(
                [
                    plot(
                        heatmap(
                            f"Singular values of {projection} by layer",
                            "direction",
                            "layer",
                            np.stack([by_layer[number] for number in sorted(by_layer)]),
                            first_column=1,
                        )
                    ),
                    plot(
                        bars(
                            f"Singular values, layer {layer}",
                            "direction",
                            "",
                            {str(number + 1): float(value) for number, value in enumerate(values)},
                        )
                    ),
                    plot(_picture("The update", update.full)),
                    plot(_picture(f"With {kept} of its directions", update.truncated(kept))),
                ],
                least_rem=24,
            ),
            said("The pictures show every n-th row and column of the matrix.", small=True),
        ]
    )


def weight_chooser() -> mo.ui.dropdown | None:
    """Return the choice of one of the embedded model's weights."""
    try:
        names = weight_names()
    except ReviewSentimentError:
        return None
    return mo.ui.dropdown(list(names), value=names[len(names) // 2], label="weight", searchable=True)


def quantisation_view(name: str | None) -> mo.Html:
    """Show a weight's values among the levels that they are rounded to."""
    if name is None:
        return notice("The embedded model is not there", "make install unpacks it.", "info")
    found = read_rounding(name)
    shares, edges = histogram(found.weights)
    return column(
        [
            plot(
                histogram_with_levels(
                    name, "weight over the largest of its block", shares, edges, list(found.levels)
                )
            ),
            said(
                f"Rounding to NF4 changes these weights by {found.error:.1%} (root mean square); 16 levels "
                f"of equal distance would change them by {found.equal_error:.1%}."
            ),
        ]
    )


def rank_view() -> mo.Html:
    """Show what a sweep over the rank found."""
    found = rank_sweep()
    rows = [
        (
            result.rank,
            result.trials,
            f"{result.macro_f1:.3f} ({result.min_f1:.3f}-{result.max_f1:.3f})",
            f"{result.roc_auc:.3f}",
            f"{result.seconds:.0f}",
        )
        for result in found.results
    ]
    ranks = [str(result.rank) for result in found.results]
    line = Line("macro-F1", ranks, [result.macro_f1 for result in found.results])
    return column(
        [
            mo.md("### Choosing the rank"),
            said(
                "More rank is more room to learn, and more memory and time. Take the smallest after which "
                "the figure on validation reviews no longer rises beyond its noise; raise alpha with it, "
                "since the update is scaled by alpha / rank."
            ),
            grid(
                [
                    table(("rank", "trials", "macro-F1, mean (ends)", "ROC AUC", "seconds"), rows),
                    plot(lines("macro-F1 on validation reviews", "rank", "", [line])),
                ]
            ),
            said(f"Measured: {found.command}", small=True),
        ]
    )


def errors_view(version: ModelVersion | None) -> mo.Html:
    """Show the reviews that a version was most sure of and had wrong."""
    heading = mo.md("### Where it is wrong")
    if version is None:
        return column([heading, notice("No errors yet", NOTHING_YET, "info")])
    from review_sentiment.tracking import recorded_runs

    predictions = recorded_runs.recorded_predictions(version.run_id)
    reviews = recorded_runs.recorded_reviews(version.run_id)
    if predictions is None or reviews is None:
        return column([heading, said("The version's run has no predictions.")])
    rows = surest_errors(predictions, reviews)
    note = f"The surest of {int((predictions['gold'] != predictions['predicted']).sum())} wrong answers."
    return column([heading, said(note), table(("review", "gold", "answer", "probability"), rows)])


def surest_errors(predictions: pd.DataFrame, reviews: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return text, gold label, answer and its probability of the wrong answers, the surest first."""
    sureness = predictions[probability_columns(labels_of(predictions))].max(axis=1)
    wrong = predictions.assign(p=sureness)[predictions["gold"] != predictions["predicted"]]
    texts = reviews.set_index("review_id")[["title", "text"]]
    rows = []
    for row in wrong.sort_values("p", ascending=False).head(ERRORS_SHOWN).to_dict("records"):
        title, text = texts.loc[row["review_id"]] if row["review_id"] in texts.index else ("", "")
        whole = ". ".join(filter(None, (title, text)))
        rows.append((whole, str(row["gold"]), str(row["predicted"]), f"{row['p']:.1%}"))
    return rows


def _find(updates: list[Update], projection: str, layer: int) -> Update:
    return next(one for one in updates if one.projection == projection and one.layer == layer)


def _picture(title: str, matrix: object) -> object:
    assert isinstance(matrix, np.ndarray)
    return heatmap(title, "in", "out", subsample(matrix), signed=True)
