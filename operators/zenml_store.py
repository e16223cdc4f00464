"""The connection to ZenML's store, which every process of ours makes here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml.client import Client

ACTIVE_STACK = "ZENML_ACTIVE_STACK_ID"
ACTIVE_PROJECT = "ZENML_ACTIVE_PROJECT_ID"


def connect() -> Client:
    """Connect to the store and return ZenML's client, which then follows `ACTIVE_STACK` and `ACTIVE_PROJECT`.

    A process in which these variables are set when it connects writes their values to the user's
    configuration (ZenML 0.98). The process of a step inherits them from its run: without this, the stack
    of the run would become the user's active stack.
    """
    chosen = {name: os.environ.pop(name) for name in (ACTIVE_STACK, ACTIVE_PROJECT) if name in os.environ}
    try:
        from zenml.client import Client

        client = Client()
        _ = client.zen_store  # connects
    finally:
        os.environ.update(chosen)
    return client
