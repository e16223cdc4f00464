"""Results for a paper: tables with every figure's interval, n and seed, and vector figures, from MLflow.

    python run_pipeline.py results -o results/

Versions that differ in nothing but the seed are one row of `summary`: mean and standard deviation over
the seeds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.errors import DataError
from review_sentiment.evaluation.metrics import compute_metrics
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.scoring.answers import labels_of
from review_sentiment.tracking import recorded_runs

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

FIGURES = ("accuracy", "f1", "roc_auc", "brier", "calibration_error", "unparsed_rate")
MODELS = ("baseline", "classical", "tuned")
SEED = "seed"
TABLES = ("results", "summary", "slices")


@dataclass(frozen=True)
class Figure:
    """One figure of one model on n reviews, with its interval."""

    version: str
    model: str
    seed: str
    figure: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PaperResults:
    """The tables by their names, and the evaluations that figures are drawn of."""

    tables: dict[str, pd.DataFrame]
    evaluations: dict[str, Evaluation]


def collect(versions: Sequence[ModelVersion]) -> PaperResults:
    """Read what the versions' runs have recorded.

    Raises:
        DataError: no version has predictions.
    """
    figures: list[Figure] = []
    slices: list[pd.DataFrame] = []
    evaluations: dict[str, Evaluation] = {}
    settings = {version.version: recorded_runs.recorded_parameters(version.run_id) for version in versions}
    for version in versions:
        seed = settings[version.version].get(SEED, "")
        for model in MODELS:
            predictions = recorded_runs.recorded_predictions(version.run_id, model)
            if predictions is None:
                continue
            labels = labels_of(predictions)
            metrics = compute_metrics(predictions, labels)
            figures += [
                Figure(
                    version.version,
                    model,
                    seed,
                    name,
                    getattr(metrics, name),
                    *metrics.intervals[name],
                    metrics.n,
                )
                for name in FIGURES
            ]
            empty = pd.DataFrame()
            evaluations[f"version_{version.version}_{model}"] = Evaluation(
                model, metrics, predictions, empty, empty
            )
            part = recorded_runs.recorded_slices(version.run_id, model)
            slices.append(part.assign(version=version.version, model=model, seed=seed))
    if not figures:
        raise DataError("No version has recorded predictions. Run the pipeline: python run_pipeline.py")
    results = pd.DataFrame([asdict(figure) for figure in figures])
    summary = _over_seeds(results, settings)
    return PaperResults(
        dict(zip(TABLES, (results, summary, pd.concat(slices, ignore_index=True)), strict=True)), evaluations
    )


def write(found: PaperResults, directory: Path) -> list[Path]:
    """Write each table as CSV, JSON, Markdown and LaTeX (booktabs), the figures as PDF; return the files."""
    from review_sentiment.evaluation.plots import confusion_figure, probability_figure

    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in found.tables.items():
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
    for name, evaluation in found.evaluations.items():
        for kind, figure in (("confusion", confusion_figure), ("probabilities", probability_figure)):
            files.append(directory / f"{name}_{kind}.pdf")
            # Without the date equal figures are equal files.
            figure(evaluation).savefig(files[-1], metadata={"CreationDate": None})
    return files


def _over_seeds(results: pd.DataFrame, settings: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Return mean and standard deviation of the versions that differ in nothing but the seed."""
    alike = {
        version: json.dumps(sorted(item for item in found.items() if item[0] != SEED))
        for version, found in settings.items()
    }
    groups = results.assign(alike=results["version"].map(alike)).groupby(
        ["alike", "model", "figure"], sort=False
    )
    rows = [
        {
            "versions": ", ".join(rows["version"]),
            "seeds": ", ".join(rows["seed"]),
            "model": model,
            "figure": figure,
            "mean": rows["value"].mean(),
            "standard deviation": rows["value"].std(ddof=1) if len(rows) > 1 else float("nan"),
            "lowest": rows["low"].min(),
            "highest": rows["high"].max(),
            "n": int(rows["n"].iloc[0]),
        }
        for (_, model, figure), rows in groups
    ]
    return pd.DataFrame(rows)


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
