"""Data reports by evidently: training against evaluation reviews, self-contained HTML."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.reviews import ReviewTable

DRIFT_DISTANCE = 0.1
"""Normalised Wasserstein or Jensen-Shannon distance above which a column has drifted."""


@dataclass(frozen=True)
class DataReport:
    """A report page, and how far each column lies apart in the two sets (a distance from 0 on)."""

    html: str
    distances: Mapping[str, float]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the columns whose distance is above our threshold."""
        return tuple(name for name, distance in self.distances.items() if distance > DRIFT_DISTANCE)


def data_report(train: ReviewTable, evaluation: ReviewTable) -> DataReport:
    """Compare the evaluation reviews (current) with the training reviews (reference).

    Looked at are category, stars, label and the lengths of title and text; the
    threshold on the distance between distributions is ours (`DRIFT_DISTANCE`).
    """
    with warnings.catch_warnings():
        # evidently 0.7.23 warns of empty bins in its own histograms.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset, DataSummaryPreset

        definition = DataDefinition(
            categorical_columns=["category", "label", "stars"],
            numerical_columns=["text_words", "title_words"],
        )
        report = Report(
            [
                DataDriftPreset(
                    cat_method="jensenshannon",
                    cat_threshold=DRIFT_DISTANCE,
                    num_method="wasserstein",
                    num_threshold=DRIFT_DISTANCE,
                ),
                DataSummaryPreset(),
            ]
        )
        result = report.run(
            Dataset.from_pandas(_columns(evaluation), data_definition=definition),
            Dataset.from_pandas(_columns(train), data_definition=definition),
        )
    distances = {
        metric["config"]["column"]: float(metric["value"])
        for metric in result.dict()["metrics"]
        if metric["config"].get("type", "").endswith("ValueDrift")
    }
    return DataReport(result.get_html_str(as_iframe=False), distances)


def _columns(table: ReviewTable) -> pd.DataFrame:
    frame = table.frame
    return frame[["category", "label"]].assign(
        category=frame["category"].astype(object),
        label=frame["label"].astype(object),
        stars=frame["stars"].astype(str).astype(object),
        text_words=[len(text.split()) for text in frame["text"]],
        title_words=[len(title.split()) for title in frame["title"]],
    )
