"""Versions in MLflow's model registry: their records, and how they are found.

A version holds the adapter, the identity of its base model and the code that it needs (`served_model.py`),
so `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)` is all that a user needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from review_sentiment.errors import UsageError, did_you_mean
from review_sentiment.tracking.mlflow_store import (
    EVALUATION_RUN_TAG,
    TEACHER_TAG,
    client,
)

if TYPE_CHECKING:
    from mlflow.entities import model_registry as entities


CHAMPION = "champion"
CHALLENGER = "challenger"
CHAMPIONS_TAG = "champions"
"""Tag of a registered model: the versions that were champion, the present one last."""
CHAMPION_SINCE_TAG = "champion_since"
"""Tag of a version: when it last became the champion, in ISO 8601."""
ACCURACY_TAG = "accuracy"
NATURAL_REVIEWS_TAG = "natural_reviews"
"""Tag of a version with the number of reviews behind its figures in production."""
WARNINGS_TAG = "warnings"
"""Tag of a version with what its readers must know, one warning a line."""
COMPARED_TAG = "compared_models"
"""Tag of a version with the models that were evaluated beside it, separated by spaces."""
MODEL_SCHEME = "models:/"
MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow answers if there is no such model, version or alias; the second one to an alias (3.17)."""
MOST_VERSIONS, MOST_MODELS = 10_000, 1_000
"""Maximum numbers of versions and of models in one request."""
LARGEST = 2**31 - 1
"""Databases have no larger version number."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, as the front door shows it."""

    name: str
    version: str
    aliases: tuple[str, ...]
    uri: str
    run_id: str
    created: datetime
    tags: Mapping[str, str]
    model_id: str

    @property
    def title(self) -> str:
        """Return NAME/VERSION, by which a student names its teacher."""
        return f"{self.name}/{self.version}"

    @property
    def champion_since(self) -> datetime | None:
        """Return when the version last became the champion, or None."""
        since = self.tags.get(CHAMPION_SINCE_TAG)
        return datetime.fromisoformat(since) if since else None

    @property
    def evaluation_run(self) -> str:
        """Return the id of the MLflow run of the version's evaluation; its training is `run_id`."""
        return self.tags.get(EVALUATION_RUN_TAG, "")

    @property
    def compared_models(self) -> tuple[str, ...]:
        """Return the models that were evaluated beside the version: the untuned one, if any, and the arms."""
        return tuple(self.tags.get(COMPARED_TAG, "").split())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what readers of the version must know, such as a collapsed class."""
        return tuple(self.tags.get(WARNINGS_TAG, "").splitlines())


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model: its aliases with their versions, and its champions, the present one last."""

    name: str
    aliases: Mapping[str, str]
    champions: tuple[str, ...]

    def aliases_of(self, version: str) -> tuple[str, ...]:
        """Return the aliases of a version."""
        return tuple(sorted(alias for alias, own in self.aliases.items() if own == version))

    @property
    def champion(self) -> str | None:
        """Return the champion's version, or None."""
        return self.aliases.get(CHAMPION)


def find_version(name: str, alias: str) -> ModelVersion | None:
    """Return the version with the alias, or None."""
    try:
        number = client().get_model_version_by_alias(name, alias).version
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise
    return find_number(name, str(number))


def find_number(name: str, number: str) -> ModelVersion | None:
    """Return the version with a number, or None: one request, however many versions there are."""
    if not number.isdecimal() or int(number) > LARGEST:
        return None
    try:
        found = client().get_model_version(name, number)
    except MlflowException as error:
        if error.error_code in MISSING:
            return None
        raise
    return _version(found, found.aliases)


def champions_of(tags: Mapping[str, str]) -> list[str]:
    """Return the versions that were champion, by the tags of a registered model; the present one is last."""
    return [version for version in tags.get(CHAMPIONS_TAG, "").split(",") if version]


def list_models(condition: str | None = None) -> list[RegisteredModel]:
    """Return the registered models by name: all, or those that meet a condition of MLflow's search."""
    return [
        RegisteredModel(
            found.name,
            {alias: str(version) for alias, version in found.aliases.items()},
            tuple(champions_of(found.tags)),
        )
        for found in client().search_registered_models(condition, MOST_MODELS, ["name ASC"])
    ]


def list_versions(name: str) -> list[ModelVersion]:
    """Return the versions of a model, the newest first; none if the model does not exist."""
    return [found for model in list_models(f"name='{name}'") for found in newest_versions(model)]


def newest_versions(
    model: RegisteredModel, before: int | None = None, limit: int = MOST_VERSIONS
) -> list[ModelVersion]:
    """Return a model's newest versions, those with a smaller number than `before` if it is given."""
    older = "" if before is None else f" AND version_number < {before}"
    found = client().search_model_versions(
        f"name='{model.name}'{older}", max_results=limit, order_by=["version_number DESC"]
    )
    # `search_model_versions` leaves the aliases out (MLflow 3.17).
    return [_version(one, model.aliases_of(str(one.version))) for one in found]


def students_of(teacher: ModelVersion) -> list[ModelVersion]:
    """Return the students of a version, the newest first."""
    found = client().search_model_versions(f"tags.{TEACHER_TAG} = '{teacher.title}'")
    students = [_version(one, ()) for one in found]
    return sorted(students, key=lambda one: one.created, reverse=True)


def _version(found: entities.ModelVersion, aliases: Iterable[str]) -> ModelVersion:
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        aliases=tuple(sorted(aliases)),
        uri=f"models:/{found.name}/{found.version}",
        run_id=found.run_id or "",
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC),
        tags=dict(found.tags),
        # `search_model_versions` leaves `model_id` out (MLflow 3.17).
        model_id=(found.source or "").removeprefix(MODEL_SCHEME),
    )


def get_version(name: str, version: str) -> ModelVersion:
    """Return a version by its number or its alias.

    Raises:
        UsageError: there is no such version or model.
    """
    found = find_number(name, version) if version.isdecimal() else find_version(name, version)
    if found is None:
        versions = versions_of(name)
        aliases = sorted({alias for one in versions for alias in one.aliases})
        known = ", ".join([*(one.version for one in versions), *aliases])
        hint = did_you_mean(version, aliases)
        raise UsageError(f"'{name}' has no version '{version}'.{hint} There are: {known}.")
    return found


def versions_of(name: str) -> list[ModelVersion]:
    """Return the versions of a model, the newest first.

    Raises:
        UsageError: it has none.
    """
    versions = list_versions(name)
    if versions:
        return versions
    known = [found.name for found in client().search_registered_models() if found.name != name]
    others = f" There are: {', '.join(known)}." if known else " Create one: python run_pipeline.py"
    raise UsageError(f"No version of '{name}' is registered.{did_you_mean(name, known)}{others}")
