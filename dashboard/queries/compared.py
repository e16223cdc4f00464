"""A comparison with all its parts, computed in a process of its own (`dashboard/jobs.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard import figures
from dashboard.queries import comparison
from dashboard.queries.answers import answers_table
from dashboard.queries.versions import use_mlflow
from dashboard.rendering import figure_element
from review_sentiment.names import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import plotly.graph_objects as go
    from markupsafe import Markup

    from dashboard.queries.comparison import Choice, ComparedFigures, Shared


@dataclass(frozen=True)
class Compared:
    """What Compare shows of models that share `n` reviews, `balanced` of them balanced, of those in `of`.

    `answers` is the table of `answers.py`, `plots` are figures as HTML in groups, and `settings` those that
    differ, None if some are gone.
    """

    n: int
    balanced: int
    of: tuple[int, ...]
    figures: ComparedFigures
    answers: pd.DataFrame
    plots: dict[str, list[Markup]]
    settings: Mapping[str, tuple[str, ...]] | None

    @property
    def everything(self) -> bool:
        """Return whether the models were evaluated on the same reviews."""
        return set(self.of) == {self.n}


def compare_models(choices: tuple[Choice, ...]) -> Compared:
    """Compare models on the reviews that all of them answered.

    Raises:
        DataError: they share no reviews, or their labels differ.
        TrackingError: MLflow cannot be reached, or a version's files are gone.
    """
    from review_sentiment.tracking import evidence

    use_mlflow()
    shared = comparison.shared_of([comparison.read_evaluation(choice) for choice in choices])
    reviews = evidence.reviews_of(choices[0].version)
    return Compared(
        n=len(shared.models[0].stratified),
        balanced=len(shared.models[0].predictions),
        of=shared.of,
        figures=comparison.figures_of(shared),
        answers=answers_table(shared, reviews),
        plots=_plots(shared, reviews),
        settings=comparison.differing_settings(*(choice.version for choice in choices)),
    )


def _plots(shared: Shared, reviews: pd.DataFrame) -> dict[str, list[Markup]]:
    label = comparison.drawn_label(shared.models[0])
    name = shortened(label)
    roc = figures.unit_square(
        f"ROC of “{name}”",
        "False positive rate",
        "True positive rate",
        [comparison.roc_line(one, label) for one in shared.models],
    )
    reliability = figures.unit_square(
        f"Reliability of “{name}”",
        "Predicted probability",
        "Fraction of positives",
        [comparison.reliability_line(one, label) for one in shared.models],
    )
    groups: dict[str, list[go.Figure]] = {
        "Confusion": [
            figures.confusion(f"Confusion matrix of {one.choice.title}", *comparison.confusion_counts(one))
            for one in shared.models
        ],
        "ROC and reliability": [roc, reliability],
        "Slices": [
            figures.intervals(f"Accuracy by {dimension}", "Accuracy", lines)
            for dimension, lines in comparison.slice_lines(shared, reviews).items()
        ],
    }
    return {
        group: [figure_element(f"{group[:3].lower()}-{number}", plot) for number, plot in enumerate(plots)]
        for group, plots in groups.items()
    }
