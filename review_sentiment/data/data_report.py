"""Data reports by evidently: training against evaluation reviews, self-contained HTML."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from review_sentiment.data.review_table import Ingested

if TYPE_CHECKING:
    import pandas as pd
    from evidently import Dataset, Report

    from review_sentiment.data.review_table import ReviewTable

DRIFT_DISTANCE = 0.1
"""Normalised Wasserstein or Jensen-Shannon distance above which a column has drifted."""


CATEGORICAL = ("category", "label", "stars")
NUMERICAL = ("text_words", "title_words")
COLUMNS = {"stars": "jensenshannon", "text_words": "wasserstein", "title_words": "wasserstein"}
"""Columns in which categories are compared, each with its distance."""
SCORED_COLUMNS = {"label": "jensenshannon", "text_words": "wasserstein", "title_words": "wasserstein"}
"""Columns in which scored reviews are compared with those of the training, each with its distance."""
MOST_REFERENCE_ROWS = 5_000
OUR_STYLE = (
    "<style>.ours{font:14px sans-serif;margin:24px;max-width:1100px}.ours td,.ours th"
    "{padding:4px 12px;text-align:left;vertical-align:top}</style>"
)
"""Of what we put above evidently's pages, in an element of the class `ours`."""


@dataclass(frozen=True)
class DataReport:
    """A report page, and how far each column lies apart in the two sets (a distance from 0 on).

    `category_distances` compare each category's training reviews with those of
    all others.
    """

    html: str
    distances: Mapping[str, float]
    category_distances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ingested: tuple[Ingested, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the columns whose distance is above our threshold."""
        return tuple(name for name, distance in self.distances.items() if distance > DRIFT_DISTANCE)


def data_report(categories: Sequence[Ingested], train: ReviewTable, evaluation: ReviewTable) -> DataReport:
    """Compare the evaluation reviews (current) with the training reviews (reference).

    Looked at are category, stars, label and the lengths of title and text; the
    threshold on the distance between distributions is ours (`DRIFT_DISTANCE`).
    Above evidently's page stands what was ingested, and how each category lies
    apart from the others.
    """
    with warnings.catch_warnings():
        # evidently 0.7.23 warns of empty bins in its own histograms.
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset, DataSummaryPreset

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
        result = report.run(_dataset(_columns(evaluation)), _dataset(_columns(train)))
        by_category = _category_distances(_columns(train))
    summary = _summary(categories, by_category)
    page = result.get_html_str(as_iframe=False).replace("<body>", f"<body>{summary}", 1)
    return DataReport(page, _drifts(result.dict()), by_category, tuple(categories))


def reference_of(table: ReviewTable) -> pd.DataFrame:
    """Return what later inputs are compared with: label and lengths of training reviews, not their texts."""
    return _columns(table)[list(SCORED_COLUMNS)].head(MOST_REFERENCE_ROWS)


def drift_report(reference: pd.DataFrame, current: pd.DataFrame) -> DataReport:
    """Compare scored reviews with the training reviews, by the columns of `SCORED_COLUMNS`."""
    with warnings.catch_warnings():
        # evidently 0.7.23 warns of empty bins in its own histograms.
        warnings.simplefilter("ignore")
        found = (_dataset(frame.astype({"label": object})) for frame in (current, reference))
        result = _distances_report(SCORED_COLUMNS).run(*found)
    return DataReport(result.get_html_str(as_iframe=False), _drifts(result.dict()))


def _category_distances(columns: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Compare each category with all others together, by evidently's distances."""
    report = _distances_report(COLUMNS)
    names = sorted(columns["category"].unique())
    if len(names) < 2:  # noqa: PLR2004 - there is nothing to compare one category with
        return {}
    distances = {}
    for name in names:
        own = columns["category"] == name
        others = columns[~own].head(MOST_REFERENCE_ROWS)
        distances[str(name)] = _drifts(report.run(_dataset(columns[own]), _dataset(others)).dict())
    return distances


def _distances_report(methods: Mapping[str, str]) -> Report:
    from evidently import Report
    from evidently.metrics import ValueDrift

    return Report(
        [
            ValueDrift(column=column, method=method, threshold=DRIFT_DISTANCE)
            for column, method in methods.items()
        ]
    )


def _dataset(columns: pd.DataFrame) -> Dataset:
    from evidently import DataDefinition, Dataset

    definition = DataDefinition(
        categorical_columns=[name for name in CATEGORICAL if name in columns],
        numerical_columns=[name for name in NUMERICAL if name in columns],
    )
    return Dataset.from_pandas(columns, data_definition=definition)


def _drifts(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in result["metrics"]
        if metric["config"].get("type", "").endswith("ValueDrift")
    }


def _summary(categories: Sequence[Ingested], distances: Mapping[str, Mapping[str, float]]) -> str:
    """Return our part of the page as HTML."""
    import pandas as pd

    rows = pd.DataFrame(
        [
            {
                "category": found.category,
                "read": found.read,
                "kept": found.kept,
                "dropped": found.reasons(),
                "stars 1 to 5, as read": " / ".join(_shares(found.stars)),
            }
            for found in categories
        ]
    )
    apart = pd.DataFrame(
        [
            {"category": category}
            | {
                column: f"{distance:.3f}" + (" (apart)" if distance > DRIFT_DISTANCE else "")
                for column, distance in by_column.items()
            }
            for category, by_column in distances.items()
        ]
    )
    tables = f"<h2>Ingested</h2>{rows.to_html(index=False, border=0)}"
    if len(apart):
        tables += (
            f"<h2>Each category against the others</h2><p>Distances of the training reviews; "
            f"above {DRIFT_DISTANCE} a category lies apart.</p>{apart.to_html(index=False, border=0)}"
        )
    return f"{OUR_STYLE}<div class='ours'>{tables}<h2>Evaluation against training</h2></div>"


def _shares(stars: Mapping[int, int]) -> list[str]:
    total = sum(stars.values())
    return [f"{stars.get(rating, 0) / total:.1%}" for rating in range(1, 6)] if total else ["-"]


def _columns(table: ReviewTable) -> pd.DataFrame:
    frame = table.frame
    return frame[["category", "label"]].assign(
        category=frame["category"].astype(object),
        label=frame["label"].astype(object),
        stars=frame["stars"].astype(str).astype(object),
        text_words=[len(text.split()) for text in frame["text"]],
        title_words=[len(title.split()) for title in frame["title"]],
    )
