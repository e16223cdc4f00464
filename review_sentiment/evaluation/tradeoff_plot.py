"""The plot of the trade-offs: accuracy by throughput, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from review_sentiment.evaluation.model_titles import title_of
from review_sentiment.evaluation.plots import BLUE, GREY
from review_sentiment.evaluation.tradeoff import Tradeoff, pareto_front


def tradeoff_figure(tradeoffs: Sequence[Tradeoff]) -> Figure:
    """Draw each model's accuracy by its reviews per second, and a line through those on the front."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    front = pareto_front(tradeoffs)
    axes.plot(
        [one.cost.reviews_per_second for one in front],
        [one.accuracy for one in front],
        color=BLUE,
        drawstyle="steps-post",
        label="Pareto front",
    )
    speeds = [one.cost.reviews_per_second for one in tradeoffs]
    middle = (min(speeds) * max(speeds)) ** 0.5
    for one in tradeoffs:
        axes.plot(one.cost.reviews_per_second, one.accuracy, "o", color=BLUE if one in front else GREY)
        axes.annotate(
            title_of(one.model),
            (one.cost.reviews_per_second, one.accuracy),
            xytext=(0, 7),
            textcoords="offset points",
            ha="right" if one.cost.reviews_per_second > middle else "left",  # towards the middle
            fontsize=8,
        )
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.15)
    axes.set(xlabel="Reviews per second (log scale)", ylabel="Accuracy at the natural share")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False)
    return figure
