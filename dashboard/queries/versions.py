"""The registered versions that the pages show and choose from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.runs.process import active_run
from dashboard.runs.progress import has_started, read_events
from front_door.state import SQLITE, tracking_uri
from review_sentiment.config import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from review_sentiment.tracking.model_versions import ModelVersion, RegisteredModel

MODEL_PARAMETER = "model"
"""URL parameter with the name of the registered model, if it is not the default one."""
BEFORE_PARAMETER = "before"
"""URL parameter of the next page: only versions with a smaller number."""
MOST_DIGITS = 10
VERSIONS_SHOWN = 50
"""On a page."""
REGISTRIES_KEPT = 32
"""MLflow loads every version to list a model: 0.2 s for 500, and five pages ask."""


@dataclass(frozen=True)
class Registry:
    """A registered model: `versions` are its newest ones, or the next older ones of the page before.

    `models` are the names of all registered models, those of students too.
    """

    model: str
    versions: Sequence[ModelVersion] = ()
    champion: ModelVersion | None = None
    previous_champion: str | None = None
    models: Sequence[str] = ()

    def offered(self, chosen: ModelVersion | None = None) -> list[ModelVersion]:
        """Return the versions to choose from: the champion first, then `chosen`, then the newest ones."""
        listed = (self.champion, chosen, *self.versions)
        return list({version.version: version for version in listed if version}.values())

    def find(self, number: str) -> ModelVersion | None:
        """Return the version with a number, or None.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        shown = (*self.versions, *([self.champion] if self.champion else []))
        return next((one for one in shown if one.version == number), None) or find_version(self.model, number)

    def parameters(self, **others: str) -> dict[str, str]:
        """Return the parameters of an address that is about this model."""
        default = self.model == default_model()
        return ({} if default else {MODEL_PARAMETER: self.model}) | others


def default_model() -> str:
    """Return the name of the registered model that the default settings train."""
    return Settings().registry.model_name


def registry_of(request: Request, limit: int = VERSIONS_SHOWN) -> Registry:
    """Return the newest versions of the model that an address names, or of the default one.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    before = request.query_params.get(BEFORE_PARAMETER, "")
    model = request.query_params.get(MODEL_PARAMETER) or default_model()
    return read_registry(
        model, int(before) if before.isdecimal() and len(before) < MOST_DIGITS else None, limit
    )


def read_registry(model: str, before: int | None = None, limit: int = VERSIONS_SHOWN) -> Registry:
    """Read a page of a model's versions from MLflow; there are none before the first run has made a store.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    if not store_exists():
        return Registry(model)
    file = _store_file()
    if file is None:
        return _registry(model, before, limit)
    return _registry_of_file(model, before, limit, file, file.stat().st_mtime_ns)


@lru_cache(REGISTRIES_KEPT)
def _registry_of_file(
    model: str,
    before: int | None,
    limit: int,
    file: Path,  # noqa: ARG001 - what MLflow reads
    changed: int,  # noqa: ARG001 - a commit changes the file
) -> Registry:
    return _registry(model, before, limit)


def _registry(model: str, before: int | None, limit: int) -> Registry:
    from review_sentiment.tracking import mlflow_store, model_versions

    use_mlflow()
    with mlflow_store.reaching(tracking_uri()):
        models = model_versions.list_models()
        names = [one.name for one in models]
        known = next((one for one in models if one.name == model), None)
        if known is None:
            return Registry(model, models=names)
        versions = model_versions.newest_versions(known, before, limit)
        champion = next((one for one in versions if one.version == known.champion), None)
        if champion is None and known.champion:
            champion = model_versions.find_number(model, known.champion)
        return Registry(model, versions, champion, _previous_champion(known), names)


def _previous_champion(model: RegisteredModel) -> str | None:
    """Return the version that a rollback makes the champion again: the last one that still exists."""
    from review_sentiment.tracking.model_versions import find_number

    return next((one for one in reversed(model.champions[:-1]) if find_number(model.name, one)), None)


def find_version(model: str, number: str) -> ModelVersion | None:
    """Return a version by its number, or None.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    if not store_exists():
        return None
    from review_sentiment.tracking import mlflow_store, model_versions

    use_mlflow()
    with mlflow_store.reaching(tracking_uri()):
        return model_versions.find_number(model, number)


def store_exists() -> bool:
    """Return whether MLflow's store can be read; if it is a missing sqlite file, a run has to create it.

    Two processes that create the same sqlite database at once both fail (MLflow 3.17). A run creates it
    before its first step.
    """
    file = _store_file()
    if file is None:
        return True
    if not file.is_file():
        return False
    record = active_run()
    return record is None or has_started(read_events(record.event_file))


def _store_file() -> Path | None:
    """Return the file of a store in sqlite, without the options of its address; None for another store."""
    uri = tracking_uri()
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


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
