"""An evaluation of a trained adapter: a child of the training's MLflow run that nothing overwrites.

An evaluation is identified by its content: the reviews, the answers of every model, the decision rule and the
gate's verdict. The same content finds the run that has it; other content makes another run. So a version can
link to the run of its evaluation, whatever is evaluated later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from review_sentiment.hashing import stable_hash
from review_sentiment.tracking.candidate import require_active
from review_sentiment.tracking.mlflow_store import (
    CARD_FILE,
    EXAMPLES_PAGE,
    NATURAL_FILE,
    PREDICTIONS_FILE,
    SLICES_FILE,
    STRATIFIED_FILE,
    TRADEOFFS_FILE,
    TUNED,
    client,
)
from review_sentiment.tracking.run_log import (
    log_dataset,
    log_json,
    log_metrics,
    log_parquet,
    log_text,
    open_child,
    recording,
    set_tags,
)

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.evaluation.result import Evaluation

IDENTITY_TAG = "evaluation"
"""Tag of an evaluation's run, and of the versions that link to it, with the evaluation's identity."""
COMPARED = (
    "natural_accuracy",
    "natural_accuracy_low",
    "natural_accuracy_high",
    "accuracy",
    "f1",
    "roc_auc",
    "calibration_error",
    "unparsed_rate",
    "reviews_per_second",
)
"""Metrics of the models that a tuned one is compared with."""


@dataclass(frozen=True)
class EvaluationRecord:
    """What an evaluation's run holds.

    `training_run` is the run of the adapter's training. `evaluations` has one entry per model that answered
    `reviews`. `settings` become parameters; `files` maps paths in the run to texts.
    """

    training_run: str
    identity: str
    reviews: pd.DataFrame
    evaluations: Sequence[Evaluation]
    settings: Mapping[str, str]
    files: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class EvaluationRun:
    """The run of an evaluation as it is in MLflow: the training it belongs to, its identity, its metrics."""

    training_run: str
    identity: str
    metrics: Mapping[str, float]


def identity_of(reviews: pd.DataFrame, evaluations: Sequence[Evaluation], *texts: str) -> str:
    """Return the identity of an evaluation: a hash of reviews and labels, every answer, and further texts."""
    tables = {"": reviews[["review_id", "label"]]} | {found.model: found.stratified for found in evaluations}
    parts = [part for model in sorted(tables) for part in (model, *_content(tables[model]))]
    return f"{stable_hash(*parts, *texts):016x}"


def _content(table: pd.DataFrame) -> tuple[str, str]:
    """Return the columns of a table and a hash of each row, as texts."""
    from pandas.util import hash_pandas_object

    return ",".join(table.columns), hash_pandas_object(table, index=False).to_numpy().tobytes().hex()


def record_evaluation(record: EvaluationRecord) -> str:
    """Return the id of the evaluation's run, which is written unless there is one.

    The identity is the last tag to be written. A run that was interrupted before has none and is never found:
    the next attempt writes another one.
    """
    known = _find(record.training_run, record.identity)
    if known is not None:
        return known
    parameters = {key.replace(".", "/"): value for key, value in record.settings.items()}
    name = f"evaluation-{record.identity[:8]}"
    run_id = open_child(record.training_run, name, parameters, record.tags)
    with recording(run_id):
        log_dataset(run_id, record.reviews, "evaluation", context="evaluation")
        for found in record.evaluations:
            _log_model(run_id, found)
        _log_tradeoffs(run_id, record.evaluations)
        log_metrics(run_id, record.metrics)
        for file, text in record.files.items():
            log_text(run_id, text, file)
        set_tags(run_id, {IDENTITY_TAG: record.identity})
    return run_id


def describe_evaluation(run_id: str, card: str) -> None:
    """Log the card of the version that an evaluation led to, and show it on MLflow's page of the run.

    If the evaluation is registered again under another name, the first card stays.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    if MLFLOW_RUN_NOTE in client().get_run(run_id).data.tags:
        return
    log_text(run_id, card, CARD_FILE)
    set_tags(run_id, {MLFLOW_RUN_NOTE: card})


def require_evaluation_run(run_id: str) -> None:
    """Check that the store has the run of a version's evaluation.

    Raises:
        TrackingError: it does not.
    """
    require_active(
        run_id,
        "the evaluation of the registered version",
        "Or write it again with --rerun register_model: the version stays and links to the new run.",
    )


def read_evaluation_run(run_id: str) -> EvaluationRun:
    """Read the run of a version's evaluation.

    Raises:
        TrackingError: the store does not have it.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    require_evaluation_run(run_id)
    found = client().get_run(run_id).data
    return EvaluationRun(
        found.tags.get(MLFLOW_PARENT_RUN_ID, ""), found.tags.get(IDENTITY_TAG, ""), dict(found.metrics)
    )


def _find(training_run: str, identity: str) -> str | None:
    """Return the complete run of an evaluation, or None."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiment = client().get_run(training_run).info.experiment_id
    condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{training_run}' AND tags.{IDENTITY_TAG} = '{identity}'"
    found = client().search_runs([experiment], condition, max_results=1)
    return str(found[0].info.run_id) if found else None


def _log_tradeoffs(run_id: str, evaluations: Sequence[Evaluation]) -> None:
    from review_sentiment.evaluation.tradeoff import tradeoffs_json, tradeoffs_of
    from review_sentiment.evaluation.tradeoff_plot import tradeoff_figure

    tradeoffs = tradeoffs_of(evaluations)
    log_text(run_id, tradeoffs_json(tradeoffs), TRADEOFFS_FILE)
    if tradeoffs:
        client().log_figure(run_id, tradeoff_figure(tradeoffs), "tradeoffs.png")


def tracked_figures(evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of a model that become MLflow metrics: all of the tuned one, the main of others.

    MLflow draws a chart for each, grouped by the model's name. Everything else is in the run's files.
    """
    figures = evaluation.metrics.headline() | evaluation.audit.figures()
    figures |= evaluation.cost.figures() if evaluation.cost else {}
    natural = evaluation.natural.headline() if evaluation.natural else {}
    figures |= {f"natural_{name}": value for name, value in natural.items()}
    if evaluation.model == TUNED:
        return figures
    return {name: figures[name] for name in COMPARED if name in figures}


def _log_model(run_id: str, evaluation: Evaluation) -> None:
    """Log a model's metrics, its predictions, and examples to read as table and page.

    Only the tuned model has figures here. Those of the others are in ZenML's artifacts: to draw all of them
    twice took 6 s of a small run.
    """
    from review_sentiment.evaluation.examples_page import examples_page
    from review_sentiment.evaluation.figures import figures_of

    model, metrics = evaluation.model, evaluation.metrics
    log_metrics(run_id, {f"{model}/{name}": value for name, value in tracked_figures(evaluation).items()})
    if model == TUNED:
        for name, figure in figures_of(evaluation).items():
            client().log_figure(run_id, figure, f"{model}/{name}.png")
    log_json(run_id, asdict(metrics), f"{model}/metrics.json")
    if evaluation.natural:
        log_json(run_id, evaluation.natural.as_json(), f"{model}/{NATURAL_FILE}")
    if evaluation.audit.n:
        log_json(run_id, asdict(evaluation.audit), f"{model}/audit.json")
    client().log_table(run_id, evaluation.samples.astype(object), f"{model}/sample_predictions.json")
    log_text(run_id, evaluation.slices.to_csv(index=False), f"{model}/{SLICES_FILE}")
    if len(evaluation.examples):
        log_text(run_id, examples_page(evaluation), f"{model}/{EXAMPLES_PAGE}")
    log_parquet(run_id, evaluation.predictions, f"{model}/{PREDICTIONS_FILE}")
    log_parquet(run_id, evaluation.stratified, f"{model}/{STRATIFIED_FILE}")
