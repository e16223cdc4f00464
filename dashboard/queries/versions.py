"""The registered versions that the pages show and choose from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.runs.process import active_run
from dashboard.runs.progress import has_started, read_events
from front_door.state import tracking_uri
from review_sentiment.config import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from review_sentiment.tracking.model_versions import ModelVersion

SQLITE = "sqlite:///"
MODEL_PARAMETER = "model"
"""URL parameter with the name of the registered model, if it is not the default one."""


@dataclass(frozen=True)
class Registry:
    """The registered versions of a model, newest first."""

    model: str
    versions: Sequence[ModelVersion]

    @property
    def champion(self) -> ModelVersion | None:
        """Return the version with the alias `champion`, or None."""
        return next((version for version in self.versions if "champion" in version.aliases), None)

    def find(self, number: str) -> ModelVersion | None:
        """Return the version with a number, or None."""
        return next((version for version in self.versions if version.version == number), None)


def registry_of(request: Request) -> Registry:
    """Return the versions of the model that an address names, or of the default one.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    return read_registry(request.query_params.get(MODEL_PARAMETER) or Settings().registry.model_name)


def read_registry(model: str) -> Registry:
    """Read a model's versions from MLflow; there are none before the first run has made a store.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    if not store_exists():
        return Registry(model, [])
    from review_sentiment.tracking import mlflow_store, model_versions

    use_mlflow()
    with mlflow_store.reaching(tracking_uri()):
        return Registry(model, model_versions.list_versions(model))


def store_exists() -> bool:
    """Return whether MLflow's store can be read; if it is a missing sqlite file, a run has to create it.

    Two processes that create the same sqlite database at once both fail (MLflow 3.17). A run creates it
    before its first step.
    """
    uri = tracking_uri()
    if not uri.startswith(SQLITE):
        return True
    if not Path(uri.removeprefix(SQLITE)).is_file():
        return False
    record = active_run()
    return record is None or has_started(read_events(record.event_file))


def use_mlflow() -> None:
    """Point this process at the MLflow store, once.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from review_sentiment.tracking import mlflow_store

    if mlflow_store.current_uri() != tracking_uri():
        mlflow_store.configure(tracking_uri())


def title_of(version: ModelVersion) -> str:
    """Return a version's number and aliases."""
    return f"version {version.version}" + (f" ({', '.join(version.aliases)})" if version.aliases else "")
