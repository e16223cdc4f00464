"""The registered versions that the pages show and choose from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import marimo as mo

from dashboard.runs.process import active_run
from dashboard.runs.progress import RunFollower, has_started
from dashboard.widgets.layout import notice
from front_door.state import tracking_uri
from review_sentiment.config import Settings
from review_sentiment.errors import ReviewSentimentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dashboard.settings_form import Form
    from review_sentiment.tracking.model_versions import ModelVersion

SEARCHABLE_FROM = 12
"""A choice among more versions has a search field."""
SQLITE = "sqlite:///"
NOTHING_YET = (
    "No version is registered yet. A run registers one: see Configure and Run, or: python run_pipeline.py"
)


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


def read_registry(model: str) -> Registry:
    """Read a model's versions from MLflow.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
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
    return record is None or has_started(RunFollower(record.event_file).read(alive=True))


def registry_or_notice(model: str) -> tuple[Registry | None, mo.Html | None]:
    """Return a model's versions, or a notice if MLflow cannot be reached."""
    if not store_exists():
        return Registry(model, []), None
    try:
        return read_registry(model), None
    except ReviewSentimentError as error:
        return None, notice("MLflow cannot be reached", str(error), "danger")


def version_chooser(registry: Registry, label: str, value: str | None = None) -> mo.ui.dropdown:
    """Return a choice of version numbers; `value` is selected, or the newest."""
    options = {title_of(version): version.version for version in registry.versions}
    wanted = registry.find(value) if value else None
    first = title_of(wanted) if wanted else next(iter(options), None)
    return mo.ui.dropdown(options, value=first, label=label, searchable=len(options) > SEARCHABLE_FROM)


def trial_chooser(registry: Registry) -> mo.ui.dropdown:
    """Return a choice of versions with the champion selected."""
    champion = registry.champion
    return version_chooser(registry, "Version", champion.version if champion else None)


def use_mlflow() -> None:
    """Point this process at the MLflow store, once.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from review_sentiment.tracking import mlflow_store

    if mlflow_store.current_uri() != tracking_uri():
        mlflow_store.configure(tracking_uri())


def model_of(form: Form) -> str:
    """Return the registered model of the form's settings, or the default one while they are invalid."""
    return (form.settings or Settings()).registry.model_name


def experiment_of(form: Form) -> str:
    """Return the experiment of the form's settings, or the default one while they are invalid."""
    return (form.settings or Settings()).tracking.experiment


def title_of(version: ModelVersion) -> str:
    """Return a version's number and aliases."""
    return f"version {version.version}" + (f" ({', '.join(version.aliases)})" if version.aliases else "")
