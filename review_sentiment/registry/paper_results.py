"""Results for a paper, read from MLflow: tables with intervals, n and seed of every figure, and vector plots.

    python run_pipeline.py results -o results/

Versions that differ only in the seed share a row of `summary`, with mean and standard deviation over seeds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.evaluation.metrics import Metrics, compute_metrics
from review_sentiment.evaluation.natural import BY_LABEL, ON_SCALE
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.names import in_markdown
from review_sentiment.scoring.answers import labels_of
from review_sentiment.tracking import evidence
from review_sentiment.tracking.mlflow_store import TUNED

if TYPE_CHECKING:
    from review_sentiment.evaluation.natural import NaturalMetrics
    from review_sentiment.tracking.model_versions import ModelVersion

FIGURES = ("accuracy", "f1", "roc_auc", "brier", "calibration_error", "unparsed_rate", *ON_SCALE)
SEED = "seed"


@dataclass(frozen=True)
class PaperResults:
    """The tables by name, and the evaluations to plot.

    `results` and `summary` have the figures at two shares of the labels: `natural`, as in production, by the
    decision rule, and `balanced`, by the model's own answers.
    """

    tables: dict[str, pd.DataFrame]
    evaluations: dict[str, Evaluation]


def collect(versions: Sequence[ModelVersion]) -> PaperResults:
    """Read the evidence of the versions.

    Raises:
        DataError: no version has predictions.
    """
    rows: list[dict[str, Any]] = []
    slices: list[pd.DataFrame] = []
    evaluations: dict[str, Evaluation] = {}
    settings = {version.version: evidence.settings_of(version) for version in versions}
    for version in versions:
        for model in (*version.compared_models, TUNED):
            predictions = evidence.predictions_of(version, model)
            metrics = compute_metrics(predictions, labels_of(predictions))
            identity = {
                "version": version.version,
                "model": model,
                "seed": settings[version.version].get(SEED, ""),
            }
            natural = evidence.natural_of(version, model)
            rows += _natural(identity, natural) + _balanced(identity, metrics)
            slices.append(evidence.slices_of(version, model).assign(**identity))
            evaluations[f"version_{version.version}_{model}"] = Evaluation(
                model,
                metrics,
                predictions,
                samples=pd.DataFrame(),
                slices=pd.DataFrame(),
                stratified=evidence.stratified_of(version, model),
                natural=natural,
                rule=evidence.rule_of(version, model),
            )
    if not rows:
        raise DataError("No version has recorded predictions. Run the pipeline: python run_pipeline.py")
    results = pd.DataFrame(rows)
    # Another evaluation of a training is not another seed: the summary has the last one.
    trainings = {(found.run_id, str(settings[found.version])): found.version for found in versions}
    tables = {
        "results": results,
        "summary": _over_seeds(results[results["version"].isin(trainings.values())], settings),
        "slices": pd.concat(slices, ignore_index=True),
    }
    return PaperResults(tables, evaluations)


def write(results: PaperResults, directory: Path) -> list[Path]:
    """Write each table as CSV, JSON, Markdown and LaTeX (booktabs), the plots as PDF; return the files."""
    from review_sentiment.evaluation.figures import figures_of

    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in results.tables.items():
        shown = table.map(lambda value: f"{value:.3f}" if isinstance(value, float) else str(value))
        contents = {
            "csv": table.to_csv(index=False),
            "json": json.dumps(table.to_dict("records"), indent=1) + "\n",
            "md": _markdown(shown),
            "tex": shown.to_latex(index=False, escape=True),
        }
        for ending, content in contents.items():
            files.append(directory / f"{name}.{ending}")
            files[-1].write_text(content, encoding="utf-8")
    for name, evaluation in results.evaluations.items():
        for kind, figure in figures_of(evaluation).items():
            files.append(directory / f"{name}_{kind}.pdf")
            # Without a creation date, equal plots are equal files.
            figure.savefig(files[-1], metadata={"CreationDate": None})
    return files


def _balanced(identity: dict[str, str], metrics: Metrics) -> list[dict[str, Any]]:
    """Return a row for each figure of a model on balanced reviews, with its interval."""
    return [
        {
            **identity,
            "share": "balanced",
            "figure": name,
            "value": getattr(metrics, name),
            "low": metrics.intervals[name][0],
            "high": metrics.intervals[name][1],
            "n": metrics.n,
        }
        for name in FIGURES
        if name in metrics.intervals
    ]


def _natural(identity: dict[str, str], natural: NaturalMetrics) -> list[dict[str, Any]]:
    """Return a row for each figure of a model at the natural share, by its own decision rule."""
    return [
        {
            **identity,
            "share": "natural",
            "figure": name if label is None else f"{name} of {label}",
            **dict(zip(("value", "low", "high"), natural.with_interval(name, label), strict=True)),
            "n": natural.n,
        }
        for name in natural.low
        for label in (natural.share if name in BY_LABEL else (None,))
    ]


def _over_seeds(results: pd.DataFrame, settings: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Return mean and standard deviation over the versions that differ only in the seed."""
    without_seed = {
        version: json.dumps(sorted(item for item in found.items() if item[0] != SEED))
        for version, found in settings.items()
    }
    groups = results.assign(settings=results["version"].map(without_seed)).groupby(
        ["settings", "model", "share", "figure"], sort=False
    )
    rows = [
        {
            "versions": ", ".join(rows["version"]),
            "seeds": ", ".join(rows["seed"]),
            "model": model,
            "share": share,
            "figure": figure,
            "mean": rows["value"].mean(),
            "standard deviation": rows["value"].std(ddof=1),
            "lowest": rows["low"].min(),
            "highest": rows["high"].max(),
            "n": int(rows["n"].iloc[0]),
        }
        for (_, model, share, figure), rows in groups
    ]
    return pd.DataFrame(rows)


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(in_markdown, row))} |\n" for row in rows)
