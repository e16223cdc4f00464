"""The evidence of a version: its settings, its gate, its card, and the evaluations behind them.

Each version keeps it beside its model's files, and whatever is shown of a version is read from there. The run
of the evaluation shows the same in MLflow, with plots and reports. A version without it is still whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.errors import TrackingError
from review_sentiment.scoring.version_files import RULE_FILE, load_rule, save_rule
from review_sentiment.tracking.mlflow_store import (
    CARD_FILE,
    NATURAL_FILE,
    PREDICTIONS_FILE,
    REVIEWS_FILE,
    SLICES_FILE,
    STRATIFIED_FILE,
    TRADEOFFS_FILE,
    TUNED,
    client,
    temporary_directory,
)

if TYPE_CHECKING:
    import pandas as pd

    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.natural import NaturalMetrics
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.evaluation.tradeoff import Tradeoff
    from review_sentiment.tracking.model_versions import ModelVersion

DIRECTORY = "evidence"
SETTINGS_FILE = "settings.json"
GATE_FILE = "gate.json"
METRICS_FILE = "metrics.json"
DECISION_FILE = "decision.parquet"


def log_evidence(
    model_id: str, texts: Mapping[str, str], evaluations: Sequence[Evaluation], reviews: pd.DataFrame
) -> None:
    """Log text files, the evaluations, and the reviews behind them to a model's files."""
    with temporary_directory() as scratch:
        root = Path(scratch)
        for found in evaluations:
            directory = root / found.model
            directory.mkdir()
            (directory / METRICS_FILE).write_text(
                json.dumps(asdict(found.metrics), indent=2), encoding="utf-8"
            )
            found.predictions.to_parquet(directory / PREDICTIONS_FILE, index=False)
            found.stratified.to_parquet(directory / STRATIFIED_FILE, index=False)
            if len(found.decision):
                found.decision.to_parquet(directory / DECISION_FILE, index=False)
            if found.rule:
                save_rule(found.rule, directory)
            if found.natural:
                (directory / NATURAL_FILE).write_text(
                    json.dumps(found.natural.as_json(), indent=2), encoding="utf-8"
                )
            found.slices.to_csv(directory / SLICES_FILE, index=False)
        reviews.to_parquet(root / REVIEWS_FILE, index=False)
        _log_directory(model_id, root, texts)


def copy_evidence(
    source: ModelVersion, model_id: str, texts: Mapping[str, str], stratified: pd.DataFrame
) -> None:
    """Log a version's evidence to another model's files, with other texts and other decided labels."""
    import mlflow

    location = client().get_logged_model(source.model_id).artifact_location
    with temporary_directory() as scratch:
        root = Path(
            mlflow.artifacts.download_artifacts(artifact_uri=f"{location}/{DIRECTORY}", dst_path=scratch)
        )
        stratified.to_parquet(root / TUNED / STRATIFIED_FILE, index=False)
        _log_directory(model_id, root, texts)


def _log_directory(model_id: str, directory: Path, texts: Mapping[str, str]) -> None:
    """Log a directory's files and texts by their paths in it."""
    for path, text in texts.items():
        (directory / path).write_text(text, encoding="utf-8")
    client().log_model_artifacts(model_id, str(directory), DIRECTORY)


def log_card(model_id: str, card: str) -> None:
    """Log the card, which names the version's number and can only be written once there is one."""
    with temporary_directory() as scratch:
        file = Path(scratch) / CARD_FILE
        file.write_text(card, encoding="utf-8")
        client().log_model_artifact(model_id, str(file), DIRECTORY)


def settings_of(version: ModelVersion) -> dict[str, str]:
    """Return the settings that a version was trained and evaluated with, by their full names."""
    return dict(json.loads(_text(version, SETTINGS_FILE)))


def gate_of(version: ModelVersion) -> dict[str, Any]:
    """Return the fields of a version's `Verdict`."""
    return dict(json.loads(_text(version, GATE_FILE)))


def tradeoffs_of(version: ModelVersion) -> list[Tradeoff]:
    """Return what the models beside a version cost, the fastest first."""
    from review_sentiment.evaluation.tradeoff import tradeoffs_from

    return tradeoffs_from(_text(version, TRADEOFFS_FILE))


def card_of(version: ModelVersion) -> str:
    """Return a version's model card; its description in MLflow may be shorter."""
    return _text(version, CARD_FILE)


def reviews_of(version: ModelVersion) -> pd.DataFrame:
    """Return the reviews that a version was evaluated on."""
    return _table(version, REVIEWS_FILE)


def metrics_of(version: ModelVersion, model: str = TUNED) -> dict[str, Any]:
    """Return the fields of the `Metrics` of a model that was evaluated beside a version."""
    return dict(json.loads(_text(version, f"{model}/{METRICS_FILE}")))


def natural_of(version: ModelVersion, model: str = TUNED) -> NaturalMetrics:
    """Return a model's metrics at the natural share."""
    from review_sentiment.evaluation.natural import NaturalMetrics

    return NaturalMetrics.from_json(json.loads(_text(version, f"{model}/{NATURAL_FILE}")))


def rule_of(version: ModelVersion, model: str = TUNED) -> DecisionRule:
    """Return the decision rule that a model's metrics at the natural share follow from."""
    with _file(version, f"{model}/{RULE_FILE}") as file:
        return load_rule(file.parent)


def stratified_of(version: ModelVersion, model: str = TUNED) -> pd.DataFrame:
    """Return a model's predictions on all held-out reviews of a version's evaluation, with their weights."""
    return _table(version, f"{model}/{STRATIFIED_FILE}")


def decision_of(version: ModelVersion) -> pd.DataFrame:
    """Return a version's predictions on the validation reviews that its decision rule was fitted on."""
    return _table(version, f"{TUNED}/{DECISION_FILE}")


def predictions_of(version: ModelVersion, model: str = TUNED) -> pd.DataFrame:
    """Return a model's predictions on the balanced evaluation reviews of a version."""
    return _table(version, f"{model}/{PREDICTIONS_FILE}")


def slices_of(version: ModelVersion, model: str = TUNED) -> pd.DataFrame:
    """Return the accuracy of a model's slices on a version's evaluation reviews."""
    import pandas as pd

    with _file(version, f"{model}/{SLICES_FILE}") as file:
        # As text: a category may be named "NA" or "007".
        return pd.read_csv(file, converters={"value": str})


def _text(version: ModelVersion, path: str) -> str:
    with _file(version, path) as file:
        return file.read_text(encoding="utf-8")


def _table(version: ModelVersion, path: str) -> pd.DataFrame:
    import pandas as pd

    with _file(version, path) as file:
        return pd.read_parquet(file)


@contextmanager
def _file(version: ModelVersion, path: str) -> Iterator[Path]:
    """Yield a temporary copy of a file of a version's evidence.

    Raises:
        TrackingError: the version does not have it.
    """
    import mlflow

    if f"{DIRECTORY}/{path}" not in _files(version, path.rpartition("/")[0]):
        raise TrackingError(
            f"'{version.name}' version {version.version} has no {DIRECTORY}/{path}: it is no longer in "
            "MLflow's artifact store. Restore the file, or register a version that has it with another run."
        )
    location = client().get_logged_model(version.model_id).artifact_location
    with temporary_directory() as scratch:
        yield Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=f"{location}/{DIRECTORY}/{path}", dst_path=scratch
            )
        )


def _files(version: ModelVersion, directory: str) -> set[str]:
    """Return the files in a directory; none if the version's model was deleted, or is not one of ours."""
    from mlflow.exceptions import MlflowException

    try:
        found = client().list_logged_model_artifacts(version.model_id, f"{DIRECTORY}/{directory}".rstrip("/"))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return set()
    return {file.path for file in found}
