"""Aliases of versions: which one is the champion, its promotion, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime

from review_sentiment.errors import UsageError
from review_sentiment.tracking.mlflow_store import client
from review_sentiment.tracking.model_versions import (
    CHALLENGER,
    CHAMPION,
    CHAMPION_SINCE_TAG,
    CHAMPIONS_TAG,
    champions_of,
    find_number,
    list_models,
    versions_of,
)
from review_sentiment.tracking.new_version import set_version_tag


def set_alias(name: str, version: str, alias: str) -> None:
    """Point the alias to the version; it leaves the version that had it."""
    client().set_registered_model_alias(name, alias, version)


def make_champion(name: str, version: str) -> None:
    """Give a version the champion's alias; it is no longer the challenger.

    The registered model remembers earlier champions.
    """
    model = client().get_registered_model(name)
    before = champions_of(model.tags)
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


def _remember_champions(name: str, versions: list[str]) -> None:
    client().set_registered_model_tag(name, CHAMPIONS_TAG, ",".join(versions))
