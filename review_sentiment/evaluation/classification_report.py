"""evidently's report on the answers: the tuned model (current) against the untuned one (reference).

Given probabilities, evidently (0.7) uses the likeliest label instead of the answer, so it knows no unparsed
answers. Its accuracy is our constrained one; the strict metrics are in a table above its page.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from review_sentiment.data.data_report import OUR_STYLE
from review_sentiment.decision.calibration import TWO_CLASSES
from review_sentiment.scoring.answers import probability_columns

if TYPE_CHECKING:
    import pandas as pd
    from evidently import DataDefinition

    from review_sentiment.evaluation.result import Evaluation

GOLD = "gold label"
LIKELIEST = "likeliest label"
SHOWN = {
    "accuracy": "accuracy",
    "constrained_accuracy": "constrained accuracy",
    "f1": "macro F1",
    "roc_auc": "ROC AUC",
}
"""Our metrics and their names."""


@dataclass(frozen=True)
class ClassificationReport:
    """A report page, and evidently's metrics of the tuned model by their names."""

    html: str
    figures: Mapping[str, float]


def classification_report(tuned: Evaluation, baseline: Evaluation | None) -> ClassificationReport:
    """Compare the answers of two models, or show only those of the tuned one.

    With two classes, the last one is evidently's positive class.
    """
    with warnings.catch_warnings():
        # evidently 0.7.23 divides by the size of empty bins.
        warnings.simplefilter("ignore")
        from evidently import Dataset, Report
        from evidently.presets import ClassificationPreset

        labels = tuned.metrics.labels
        definition = _definition(labels)
        current, *reference = (
            Dataset.from_pandas(_columns(evaluation, labels), data_definition=definition)
            for evaluation in (tuned, baseline)
            if evaluation is not None
        )
        result = Report([ClassificationPreset()]).run(current, *reference)
    page = result.get_html_str(as_iframe=False).replace("<body>", f"<body>{_summary(tuned, baseline)}", 1)
    return ClassificationReport(page, _figures(result.dict()))


def _definition(labels: tuple[str, ...]) -> DataDefinition:
    from evidently import BinaryClassification, DataDefinition, MulticlassClassification

    gold, likeliest = _answer_columns(labels)
    columns = {"target": gold, "prediction_labels": likeliest}
    if len(labels) == TWO_CLASSES:
        task = BinaryClassification(**columns, prediction_probas=labels[-1], pos_label=labels[-1])
    else:
        task = MulticlassClassification(**columns, prediction_probas=list(labels))
    return DataDefinition(classification=[task], categorical_columns=[gold, likeliest])


def _answer_columns(labels: tuple[str, ...]) -> list[str]:
    """Return the names of the columns beside those of the labels, which may have any name themselves."""
    return [name if name not in labels else f"{name} " for name in (GOLD, LIKELIEST)]


def _columns(evaluation: Evaluation, labels: tuple[str, ...]) -> pd.DataFrame:
    """Return gold and likeliest label as objects (evidently has no string type), and p by label."""
    predictions = evaluation.predictions
    probabilities = dict(zip(probability_columns(labels), labels, strict=True))
    return (
        predictions[["gold", "constrained"]]
        .astype(object)
        .set_axis(_answer_columns(labels), axis=1)
        .join(predictions[list(probabilities)].rename(columns=probabilities))
    )


def _figures(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        metric["config"]["type"].rpartition(":")[2]: float(metric["value"])
        for metric in result["metrics"]
        if isinstance(metric["value"], float)
    }


def _summary(tuned: Evaluation, baseline: Evaluation | None) -> str:
    """Return our part of the page as HTML."""
    import pandas as pd

    rows = pd.DataFrame(
        [
            {
                "": name,
                "reviews": evaluation.metrics.n,
                **{title: evaluation.metrics.shown(figure) for figure, title in SHOWN.items()},
                "unparsed": f"{evaluation.metrics.unparsed_rate:.1%}",
            }
            for name, evaluation in (("tuned (current)", tuned), ("untuned (reference)", baseline))
            if evaluation is not None
        ]
    )
    positive = tuned.metrics.labels[-1]
    of_two = f", its precision, recall and F1 are those of “{positive}”"
    return (
        f"{OUR_STYLE}<div class='ours'><h2>Answers of the tuned model</h2>"
        f"{rows.to_html(index=False, border=0)}"
        "<p>An unparsed answer is not a label and counts as wrong in accuracy and F1. The brackets show the "
        "95 % bootstrap interval. Below, evidently uses each review's likeliest label: its accuracy is the "
        f"constrained one{of_two if len(tuned.metrics.labels) == TWO_CLASSES else ''}.</p></div>"
    )
