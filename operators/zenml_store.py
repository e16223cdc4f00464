"""The connection to ZenML's store, which every process of ours makes here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

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
        with created_once(directory / LOCK_FILE, [directory / "config.yaml", database]):
            client = Client()
            _ = client.zen_store  # connects
    finally:
        os.environ.update(chosen)
    return client
