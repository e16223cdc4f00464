"""Versions in MLflow's model registry: register, list, look up, promote, roll back, download.

A version holds the adapter, the identity of its base model and the code that it needs (`served_model.py`),
so `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)` is all that a user needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow.exceptions import MlflowException

from review_sentiment.errors import ModelUnavailableError, UsageError, did_you_mean, first_line
from review_sentiment.models.base_model import require_same_files
from review_sentiment.tracking.mlflow_store import (
    EVALUATION_RUN_TAG,
    TEACHER_TAG,
    client,
    temporary_directory,
)

if TYPE_CHECKING:
    from mlflow.entities import model_registry as entities

    from review_sentiment.decision.rule import DecisionRule
    from review_sentiment.evaluation.natural import NaturalMetrics
    from review_sentiment.scoring.version_files import Serving

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
MODEL_DESCRIPTION = """\
Fine-tuned language models that label customer reviews. **champion** is the version in use, \
**challenger** the newest version that did not pass the gate. A version's description is its model card, \
its tags hold its lineage, its run has the training, and the tag `evaluation_run` names the child run \
with the evaluation.
"""
"""Description of a registered model, unless somebody wrote another."""
MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""What MLflow answers if there is no such model, version or alias; the second one to an alias (3.17)."""
MOST_VERSIONS, MOST_MODELS = 10_000, 1_000
"""Maximum numbers of versions and of models in one request."""
LARGEST = 2**31 - 1
"""Databases have no larger version number."""
DESCRIPTION_LIMIT = 5_000
"""Characters that MLflow's database keeps of a version's description."""


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


def natural_tags(natural: NaturalMetrics) -> dict[str, str]:
    """Return the tags with a version's accuracy in production, and its interval."""
    return {
        "natural_accuracy": f"{natural.accuracy:.6f}",
        "natural_interval": f"{natural.low['accuracy']:.3f}-{natural.high['accuracy']:.3f}",
        NATURAL_REVIEWS_TAG: str(natural.n),
    }


def register_version(name: str, run_id: str, model_id: str, tags: Mapping[str, str]) -> str:
    """Register a logged model as a new version that belongs to the run; return its number."""
    registered = client().search_registered_models(filter_string=f"name='{name}'")
    if not registered:
        client().create_registered_model(name, description=MODEL_DESCRIPTION)
    elif not registered[0].description:
        client().update_registered_model(name, MODEL_DESCRIPTION)
    created = client().create_model_version(
        name,
        source=f"{MODEL_SCHEME}{model_id}",
        run_id=run_id,
        tags=dict(tags),
        model_id=model_id,
    )
    return str(created.version)


def set_version_tag(name: str, version: str, tag: str, value: str) -> None:
    """Set a tag of a version."""
    client().set_model_version_tag(name, version, tag, value)


def describe_version(name: str, version: str, card: str) -> None:
    """Make the card the version's description in MLflow."""
    client().update_model_version(name, version, description=_shortened(card))


def _shortened(description: str) -> str:
    """Return as many whole lines as MLflow keeps, and a pointer to the rest."""
    if len(description) <= DESCRIPTION_LIMIT:
        return description
    rest = "\n\nThe rest is in `evidence/model_card.md` of the version's files.\n"
    return description[: DESCRIPTION_LIMIT - len(rest)].rpartition("\n")[0] + rest


@contextmanager
def deleted_on_failure(name: str, version: str) -> Iterator[None]:
    """Delete a version if the block cannot give it its card and alias: nothing would tell what it is.

    What the block raised is raised again, with a note if the version could not be deleted either.
    """
    try:
        yield
    except BaseException as error:
        try:
            client().delete_model_version(name, version)
        except MlflowException as second:
            error.add_note(
                f"Version {version} of '{name}' stays without an alias ({second}). Once MLflow can be "
                f"reached, delete it there, or use it: `python run_pipeline.py promote {version}`."
            )
        raise


def set_alias(name: str, version: str, alias: str) -> None:
    """Point the alias to the version; it leaves the version that had it."""
    client().set_registered_model_alias(name, alias, version)


def make_champion(name: str, version: str) -> None:
    """Give a version the champion's alias; it is no longer the challenger.

    The registered model remembers earlier champions.
    """
    model = client().get_registered_model(name)
    before = _remembered(model.tags)
    if not before or before[-1] != version:
        _remember_champions(name, [*before, version])
    _crown(name, version)
    if str(model.aliases.get(CHALLENGER)) == version:
        client().delete_registered_model_alias(name, CHALLENGER)


def roll_back(name: str) -> str:
    """Give the alias back to the previous champion; return its version.

    Raises:
        UsageError: there was none, or the model does not exist.
    """
    remembered = [number for model in list_models(f"name='{name}'") for number in model.champions]
    champions = [number for number in remembered if find_number(name, number)]
    if len(champions) < 2:  # noqa: PLR2004 - the present champion and one before it
        versions_of(name)
        raise UsageError(
            f"'{name}' had no champion before the present one. `python run_pipeline.py models` lists its "
            "versions; `promote VERSION` chooses one."
        )
    _remember_champions(name, champions[:-1])
    _crown(name, champions[-2])
    return champions[-2]


def _crown(name: str, version: str) -> None:
    """Give a version the champion's alias, and note since when it has it: MLflow does not."""
    set_alias(name, version, CHAMPION)
    set_version_tag(name, version, CHAMPION_SINCE_TAG, datetime.now(UTC).isoformat(timespec="seconds"))


def _remembered(tags: Mapping[str, str]) -> list[str]:
    return [version for version in tags.get(CHAMPIONS_TAG, "").split(",") if version]


def _remember_champions(name: str, versions: list[str]) -> None:
    client().set_registered_model_tag(name, CHAMPIONS_TAG, ",".join(versions))


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


def list_models(condition: str | None = None) -> list[RegisteredModel]:
    """Return the registered models by name: all, or those that meet a condition of MLflow's search."""
    return [
        RegisteredModel(
            found.name,
            {alias: str(version) for alias, version in found.aliases.items()},
            tuple(_remembered(found.tags)),
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
