"""The files of a version, from MLflow's artifact store to this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow.exceptions import MlflowException

from review_sentiment.errors import ModelUnavailableError, UsageError, first_line
from review_sentiment.models.base_model import require_same_files
from review_sentiment.tracking.mlflow_store import temporary_directory

if TYPE_CHECKING:
    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.scoring.version_files import Serving
    from review_sentiment.tracking.model_versions import ModelVersion


def download_files(version: ModelVersion, directory: Path) -> Path:
    """Download the files that a version answers with; return their directory.

    Raises:
        ModelUnavailableError: they are not in the artifact store, or the store cannot be reached.
    """
    from review_sentiment.scoring.version_files import RULE_FILE

    missing = (
        f"The files of '{version.name}' version {version.version} could not be downloaded from the MLflow "
        "artifact store"
    )
    try:
        place = Path(mlflow.artifacts.download_artifacts(f"{version.uri}/artifacts", dst_path=str(directory)))
    except (MlflowException, OSError) as error:
        raise ModelUnavailableError(f"{missing}: {first_line(error)}") from error
    files = next((found.parent for found in place.rglob(RULE_FILE)), None)
    if files is None:
        raise ModelUnavailableError(f"{missing}: {RULE_FILE} is not among them. Were they deleted?")
    return files


def download_adapter(version: ModelVersion, directory: Path) -> tuple[Serving, Path]:
    """Download the files of a version that is a language model; return its `Serving` and their directory.

    Raises:
        UsageError: it is a model of another kind.
        ModelUnavailableError: the files are not in the artifact store, or the store cannot be reached.
    """
    from review_sentiment.scoring.version_files import SERVING_FILE, Serving

    files = download_files(version, directory)
    if not (files / SERVING_FILE).is_file():
        raise UsageError(
            f"Version {version.version} of '{version.name}' is not a language model with an adapter, which "
            "this needs. Choose another version: python run_pipeline.py models"
        )
    return Serving.load(files), files


def require_usable(version: ModelVersion) -> DecisionRule:
    """Check that this machine has what a version needs, such as its base model; return its decision rule.

    Raises:
        ModelUnavailableError: the base model is another one, or the version's files cannot be downloaded.
    """
    from review_sentiment.scoring.version_files import SERVING_FILE, Serving, load_rule

    with temporary_directory() as scratch:
        files = download_files(version, Path(scratch))
        if (files / SERVING_FILE).is_file():
            require_same_files(Serving.load(files).base)
        return load_rule(files)
