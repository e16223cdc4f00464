"""Pods, jobs and events that a real API server had, by what their pods waited for or how they ended."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kubernetes import client

FILE = Path(__file__).with_suffix(".json")
TYPES = {"Pod": "V1Pod", "Job": "V1Job"}


@cache
def _recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


def recorded(name: str) -> Any:
    """Return a pod or job, as the Kubernetes client returns it."""
    return _model(_recorded()[name]["object"], TYPES[_recorded()[name]["kind"]])


def events_of(name: str) -> list[Any]:
    """Return the events of a pod or job, the oldest first."""
    return [_model(event, "CoreV1Event") for event in _recorded()[name]["events"]]


def _model(content: dict[str, Any], kind: str) -> Any:
    return client.ApiClient().deserialize(SimpleNamespace(data=json.dumps(content)), kind)
