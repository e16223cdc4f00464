"""Model versions in the MLflow registry: registering, loading, listing.

A version holds the adapter, the identity of its base model and this package's
code, so `mlflow.pyfunc.load_model("models:/NAME@champion").predict(frame)` is
all that a user needs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext

from review_sentiment.errors import DataError, ModelUnavailableError, UsageError
from review_sentiment.models.compute import plan_compute
from review_sentiment.scoring.scorer import SERVING_FILE, Serving, tuned_scorer

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = Path(__file__).resolve().parents[1]
"""The directory of `review_sentiment`, which travels with every version."""
VERSION_VARIABLE = "REVIEW_SENTIMENT_MODEL_VERSION"
"""Tells a model that is served which version it is: a model's files do not know their number."""
CHAMPION = "champion"
CHALLENGER = "challenger"
CHAMPIONS_TAG = "champions"
"""Of a registered model: the versions that were champion, the present one last."""
ACCURACY_TAG = "accuracy"
MODEL_DESCRIPTION = """\
Fine-tuned language models that say which label a customer review has. **champion** is the version in use, \
**challenger** the newest one that did not take its place. The description of a version is its card, its \
tags say where it comes from, and the run that it belongs to has curves, reports and sample predictions.
"""
"""Of a registered model, as long as nobody wrote another."""
DESCRIPTION_LIMIT = 5_000
"""Characters that MLflow's database keeps of a version's description."""
RUNTIME_PACKAGES = (
    "mlflow",
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "scikit-learn",
    "pandas",
    "pydantic",
    "rapidfuzz",
    "gguf",
)


class ServedModel(PythonModel):  # type: ignore[misc]
    """A registered version: reviews in, labels and probabilities out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the base model and the adapter."""
        self._scorer = tuned_scorer(Path(context.artifacts["adapter"]), plan_compute())

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Return label, its probability, and p_<label> for every row of `text` and, optionally, `title`.

        Raises:
            DataError: there is no column `text`, or a text is missing.
        """
        if "text" not in model_input:
            raise DataError(
                f"The input needs a column 'text'; it has: {', '.join(map(str, model_input.columns))}."
            )
        if model_input["text"].isna().any():
            row = int(model_input["text"].isna().to_numpy().argmax())
            raise DataError(f"The text of row {row} is missing.")
        titles = model_input["title"].fillna("") if "title" in model_input else [""] * len(model_input)
        answers = self._scorer.answer(
            [str(title) for title in titles], [str(text) for text in model_input["text"]]
        )
        return answers.assign(model_version=os.environ.get(VERSION_VARIABLE, "")).set_index(model_input.index)


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


def register_version(
    name: str,
    run_id: str,
    adapter: Path,
    description: str,
    tags: Mapping[str, str],
) -> str:
    """Register the adapter as a new version that belongs to the run; return its number.

    `adapter` holds the adapter's files and a saved `Serving`. Its files are logged first; the version is
    made in one request, with card and tags: there is no version that has some of them.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    serving = Serving.load(adapter)
    probabilities = [ColSpec(DataType.double, f"p_{label}") for label in serving.labels]
    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec(DataType.string, "text"),
                ColSpec(DataType.string, "title", required=False),
            ]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.double, "probability"),
                *probabilities,
                ColSpec(DataType.string, "model_version"),
            ]
        ),
    )
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=ServedModel(),
            artifacts={"adapter": str(adapter)},
            code_paths=[str(PACKAGE)],
            signature=signature,
            pip_requirements=_requirements(),
        )
    client = mlflow.MlflowClient()
    registered = client.search_registered_models(filter_string=f"name='{name}'")
    if not registered:
        client.create_registered_model(name, description=MODEL_DESCRIPTION)
    elif not registered[0].description:
        client.update_registered_model(name, MODEL_DESCRIPTION)
    made = client.create_model_version(
        name,
        source=info.model_uri,
        run_id=run_id,
        tags=dict(tags),
        description=_that_fits(description),
        model_id=info.model_id,
    )
    return str(made.version)


def _that_fits(description: str) -> str:
    """Return as many whole lines as MLflow keeps, and where the rest is."""
    if len(description) <= DESCRIPTION_LIMIT:
        return description
    rest = "\n\nThe rest is in `model_card.md` of the run that this version belongs to.\n"
    return description[: DESCRIPTION_LIMIT - len(rest)].rpartition("\n")[0] + rest


@contextmanager
def taken_back_on_failure(name: str, version: str) -> Iterator[None]:
    """Delete a version that could not be given its alias: nothing would tell what it is.

    Raises:
        MlflowException: what the block raised, with a note where the version could not be deleted either.
    """
    try:
        yield
    except MlflowException as error:
        try:
            mlflow.MlflowClient().delete_model_version(name, version)
        except MlflowException as second:
            error.add_note(
                f"Version {version} of '{name}' stays without an alias ({second}). Delete it in MLflow once "
                f"it can be reached, or use it: `python run_pipeline.py promote {version}`."
            )
        raise


def set_alias(name: str, version: str, alias: str) -> None:
    """Point the alias to the version; it leaves the version that had it."""
    mlflow.MlflowClient().set_registered_model_alias(name, alias, version)


def make_champion(name: str, version: str) -> None:
    """Give a version the champion's alias; the registered model remembers the ones before it."""
    before = _champions(name)
    if not before or before[-1] != version:
        _remember_champions(name, [*before, version])
    set_alias(name, version, CHAMPION)


def roll_back(name: str) -> str:
    """Give the alias back to the champion before the present one; return its number.

    Raises:
        UsageError: there was none.
    """
    there = {found.version for found in list_versions(name)}
    before = [version for version in _champions(name) if version in there]
    if len(before) < 2:  # noqa: PLR2004 - the present champion and one before it
        raise UsageError(
            f"'{name}' had no champion before the present one. `python run_pipeline.py models` lists its "
            "versions; `promote VERSION` chooses one."
        )
    _remember_champions(name, before[:-1])
    set_alias(name, before[-2], CHAMPION)
    return before[-2]


def _champions(name: str) -> list[str]:
    tags = mlflow.MlflowClient().get_registered_model(name).tags
    return [version for version in tags.get(CHAMPIONS_TAG, "").split(",") if version]


def _remember_champions(name: str, versions: list[str]) -> None:
    mlflow.MlflowClient().set_registered_model_tag(name, CHAMPIONS_TAG, ",".join(versions))


def find_version(name: str, alias: str) -> ModelVersion | None:
    """Return the version with the alias, or None."""
    return next((found for found in list_versions(name) if alias in found.aliases), None)


def list_versions(name: str) -> list[ModelVersion]:
    """Return the versions of a model, the newest first; none when the model does not exist."""
    client = mlflow.MlflowClient()
    registered = client.search_registered_models(filter_string=f"name='{name}'")
    if not registered:
        return []
    # `search_model_versions` leaves the aliases out (MLflow 3.17).
    aliases: dict[str, list[str]] = {}
    for alias, version in client.get_registered_model(name).aliases.items():
        aliases.setdefault(str(version), []).append(alias)
    versions = [
        ModelVersion(
            name=name,
            version=str(found.version),
            aliases=tuple(sorted(aliases.get(str(found.version), []))),
            uri=f"models:/{name}/{found.version}",
            run_id=found.run_id or "",
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, tz=UTC),
            tags=dict(found.tags),
        )
        for found in client.search_model_versions(f"name='{name}'")
    ]
    return sorted(versions, key=lambda found: int(found.version), reverse=True)


def get_version(name: str, version: str) -> ModelVersion:
    """Return a version by its number or its alias.

    Raises:
        UsageError: there is no such version.
    """
    versions = list_versions(name)
    found = next((one for one in versions if version == one.version or version in one.aliases), None)
    if found is None:
        known = ", ".join(
            [*(one.version for one in versions), *sorted({a for v in versions for a in v.aliases})]
        )
        raise UsageError(f"'{name}' has no version '{version}'. There are: {known or 'none'}.")
    return found


def download_adapter(version: ModelVersion, directory: Path) -> tuple[Serving, Path]:
    """Fetch a version's adapter; return what serves it and where its files are.

    Raises:
        ModelUnavailableError: its files are not in the artifact store, or that cannot be reached.
    """
    missing = f"The files of '{version.name}' version {version.version} cannot be had from MLflow's artifacts"
    try:
        place = Path(mlflow.artifacts.download_artifacts(version.uri, dst_path=str(directory)))
    except (MlflowException, OSError) as error:
        raise ModelUnavailableError(f"{missing}: {str(error).splitlines()[0]}") from error
    adapter = next((found.parent for found in place.rglob(SERVING_FILE)), None)
    if adapter is None:
        raise ModelUnavailableError(f"{missing}: {SERVING_FILE} is not among them. Were they deleted?")
    return Serving.load(adapter), adapter


def _requirements() -> list[str]:
    """Pin what a version needs to run, without the local label of a CPU build of torch."""
    from importlib.metadata import version

    # MLflow logs these lines; its own inference would load the model once more.
    logging.getLogger("mlflow.utils.requirements_utils").setLevel(logging.ERROR)
    return [f"{package}=={version(package).split('+')[0]}" for package in RUNTIME_PACKAGES]
