"""The connection to ZenML's store, which every process of ours makes here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import ReviewSentimentError, first_line
from review_sentiment.file_lock import created_once

if TYPE_CHECKING:
    from zenml.client import Client

ACTIVE_STACK = "ZENML_ACTIVE_STACK_ID"
ACTIVE_PROJECT = "ZENML_ACTIVE_PROJECT_ID"
LOCK_FILE = "review-sentiment.lock"


def connect() -> Client:
    """Connect to the store and return ZenML's client, which then follows `ACTIVE_STACK` and `ACTIVE_PROJECT`.

    A process in which these variables are set when it connects writes their values to the user's
    configuration (ZenML 0.98). The process of a step inherits them from its run: without this, the stack
    of the run would become the user's active stack.

    ZenML creates its database without a lock, and writes its configuration whenever it connects, in place:
    two first commands at once failed, and one could read what the other had half written.

    Raises:
        LockedError: another process holds the lock for too long, or the state cannot be written to.
        ReviewSentimentError: the configuration or the database is damaged, or a server does not respond.
    """
    chosen = {name: os.environ.pop(name) for name in (ACTIVE_STACK, ACTIVE_PROJECT) if name in os.environ}
    try:
        from zenml.client import Client
        from zenml.constants import (
            DEFAULT_STORE_DIRECTORY_NAME,
            ENV_ZENML_LOCAL_STORES_PATH,
            LOCAL_STORES_DIRECTORY_NAME,
        )
        from zenml.utils.io_utils import get_global_config_directory
        from zenml.zen_stores.sql_zen_store import ZENML_SQLITE_DB_FILENAME

        directory = Path(get_global_config_directory())
        stores = Path(os.environ.get(ENV_ZENML_LOCAL_STORES_PATH) or directory / LOCAL_STORES_DIRECTORY_NAME)
        database = stores / DEFAULT_STORE_DIRECTORY_NAME / ZENML_SQLITE_DB_FILENAME
        configuration = directory / "config.yaml"
        with created_once(directory / LOCK_FILE, [configuration, database]):
            _require_configuration(configuration)
            try:
                client = Client()
                _ = client.zen_store  # connects
            except Exception as error:
                raise ReviewSentimentError(
                    f"ZenML's store could not be opened: {first_line(error)[:300].rstrip('.')}. Its "
                    f"configuration is {configuration}, its local database {database}. Free some space if "
                    "the disk is full. If a file is damaged, restore it or move it away: then it is created "
                    "again, and steps run once more. Versions are in MLflow."
                ) from error
    finally:
        os.environ.update(chosen)
    return client


def _require_configuration(file: Path) -> None:
    """Refuse what ZenML would replace by new settings, or end with an error of its parser for."""
    import yaml

    if not file.exists():
        return
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        reason = "" if isinstance(content, dict) else "it has no settings"
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = first_line(error)
    if reason:
        raise ReviewSentimentError(
            f"ZenML's configuration {file} cannot be read: {reason}. Move it away: a new one is "
            "written, and local runs and versions are kept. If you use a ZenML server, connect to it again: "
            "zenml login."
        )
