"""Reports on reviews by evidently: self-contained HTML pages, and the distances between two sets."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.data.review_table import CategoryCounts
from review_sentiment.names import in_sentence

if TYPE_CHECKING:
    import pandas as pd
    from evidently import Dataset, Report
    from evidently.core.report import Snapshot

    from review_sentiment.data.review_table import ReviewTable

DRIFT_DISTANCE = 0.1
"""A column has drifted if its normalised Wasserstein or Jensen-Shannon distance is above this."""
CATEGORICAL = ("category", "label", "source_label", "language")
NUMERICAL = ("text_words", "title_words")
COLUMNS = ("source_label", "language", "text_words", "title_words")
"""Columns in which categories are compared."""
SCORED_COLUMNS = ("label", "language", "text_words", "title_words")
"""Columns in which scored reviews are compared with training reviews."""
SCORED_CATEGORIES = ("label", "language")
MAX_REFERENCE_ROWS = 5_000
OUR_STYLE = (
    "<style>.ours{font:14px sans-serif;margin:24px;max-width:1100px}.ours td,.ours th"
    "{padding:4px 12px;text-align:left;vertical-align:top}"
    ".MuiTabs-flexContainer{flex-wrap:wrap}.ours,.MuiCard-root{overflow-x:auto!important}</style>"
)
"""Style of our part of evidently's pages, an element of the class `ours` above theirs.

In theirs (0.7.23), a row of tabs, one per label, would make each card wider than the page, which cuts it off.
"""


@dataclass(frozen=True)
class DataReport:
    """A report page, and the distance of each column between the two sets (from 0)."""

    html: str
    distances: Mapping[str, float]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Return the columns whose distance is above the threshold."""
        return tuple(name for name, distance in self.distances.items() if distance > DRIFT_DISTANCE)


def data_report(
    categories: Sequence[CategoryCounts], train: ReviewTable, evaluation: ReviewTable
) -> DataReport:
    """Compare the evaluation reviews (current) with the training reviews (reference).

    The columns are category, label, language, the lengths of title and text, and the source label if it is
    another one. Our part of the page shows what became of each category's rows, and the distance of each
    category from the others.
    """
    from evidently import Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    drift = DataDriftPreset(
        cat_method="jensenshannon",
        cat_threshold=DRIFT_DISTANCE,
        num_method="wasserstein",
        num_threshold=DRIFT_DISTANCE,
    )
    reference, current = _columns(train), _columns(evaluation)
    if all((columns["source_label"] == columns["label"]).all() for columns in (reference, current)):
        reference, current = (columns.drop(columns="source_label") for columns in (reference, current))
    result = _run(Report([drift, DataSummaryPreset()]), current, reference)
    summary = _summary(categories, _category_distances(reference))
    page = result.get_html_str(as_iframe=False).replace("<body>", f"<body>{summary}", 1)
    return DataReport(page, _distances(result))


def reference_of(table: ReviewTable) -> pd.DataFrame:
    """Return what later inputs are compared with: `SCORED_COLUMNS` of training reviews, not their texts."""
    return _columns(table)[list(SCORED_COLUMNS)].head(MAX_REFERENCE_ROWS)


def drift_report(reference: pd.DataFrame, current: pd.DataFrame) -> DataReport:
    """Compare scored reviews with training reviews in `SCORED_COLUMNS`."""
    current, reference = (
        frame.astype(dict.fromkeys(SCORED_CATEGORIES, object)) for frame in (current, reference)
    )
    result = _run(_drift_of(SCORED_COLUMNS), current, reference)
    return DataReport(result.get_html_str(as_iframe=False), _distances(result))


def _category_distances(columns: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Compare each category with all others together; without others there is nothing to compare."""
    distances = {}
    for name, own in columns.groupby("category"):
        others = columns.drop(own.index).head(MAX_REFERENCE_ROWS)
        if len(others):
            compared = _drift_of(column for column in COLUMNS if column in columns)
            distances[str(name)] = _distances(_run(compared, own, others))
    return distances


def _drift_of(columns: Iterable[str]) -> Report:
    from evidently import Report
    from evidently.metrics import ValueDrift

    methods = {name: "wasserstein" if name in NUMERICAL else "jensenshannon" for name in columns}
    return Report(
        [ValueDrift(column=name, method=method, threshold=DRIFT_DISTANCE) for name, method in methods.items()]
    )


def _run(report: Report, current: pd.DataFrame, reference: pd.DataFrame) -> Snapshot:
    with warnings.catch_warnings():
        # evidently 0.7.23 warns about empty bins in its own histograms.
        warnings.simplefilter("ignore")
        return report.run(_dataset(current), _dataset(reference))


def _dataset(columns: pd.DataFrame) -> Dataset:
    from evidently import DataDefinition, Dataset

    definition = DataDefinition(
        categorical_columns=[name for name in CATEGORICAL if name in columns],
        numerical_columns=[name for name in NUMERICAL if name in columns],
    )
    return Dataset.from_pandas(columns, data_definition=definition)


def _distances(result: Snapshot) -> dict[str, float]:
    return {
        metric["config"]["column"]: float(metric["value"])
        for metric in result.dict()["metrics"]
        if metric["config"].get("type", "").endswith("ValueDrift")
    }


def _summary(categories: Sequence[CategoryCounts], distances: Mapping[str, Mapping[str, float]]) -> str:
    """Return our part of the page as HTML."""
    import pandas as pd

    def table(rows: Iterable[dict[str, Any]]) -> str:
        return str(pd.DataFrame(list(rows)).to_html(index=False, border=0))

    counts = table(
        {
            "category": found.category,
            "read": found.read,
            "used": found.kept,
            "dropped": found.reasons(),
            "labels as read": _fractions(found.source_labels),
        }
        for found in categories
    )
    apart = ""
    if distances:
        rows = table(
            {"category": category} | {column: _marked(value) for column, value in by_column.items()}
            for category, by_column in distances.items()
        )
        apart = (
            "<h2>Each category against the others</h2><p>Distances between the training reviews. Above "
            f"{DRIFT_DISTANCE}, a category is marked as different.</p>{rows}"
        )
    return (
        f"{OUR_STYLE}<div class='ours'><h2>Reviews by category</h2>{counts}{apart}"
        "<h2>Evaluation against training</h2></div>"
    )


def _marked(distance: float) -> str:
    return f"{distance:.3f}{' (different)' if distance > DRIFT_DISTANCE else ''}"


def _fractions(source_labels: Mapping[str, int]) -> str:
    total = sum(source_labels.values())
    return (
        ", ".join(f"{in_sentence(value)} {count / total:.1%}" for value, count in source_labels.items())
        or "-"
    )


def _columns(table: ReviewTable) -> pd.DataFrame:
    frame = table.frame
    # As objects: evidently does not know the string type of pandas.
    return frame[["category", "label"]].assign(
        category=frame["category"].astype(object),
        label=frame["label"].astype(object),
        source_label=frame["source_label"].astype(object),
        language=frame["language"].astype(object),
        text_words=[len(text.split()) for text in frame["text"]],
        title_words=[len(title.split()) for title in frame["title"]],
    )
