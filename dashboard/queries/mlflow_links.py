"""Addresses of a version and its runs in MLflow's pages."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from front_door.commands.servers import HOST, MLFLOW_PORT
from front_door.state import tracking_uri
from review_sentiment.errors import TrackingError

if TYPE_CHECKING:
    from review_sentiment.tracking.model_versions import ModelVersion

PROBE_SECONDS = 0.2
VIEW = "?workflowType=machine_learning"
"""MLflow (3.17) opens its view for generative AI otherwise. Its pages are behind the #, and so is this."""


@dataclass(frozen=True)
class MlflowLinks:
    """Links by their names; `served` is whether a server shows MLflow's pages at their address."""

    links: dict[str, str]
    served: bool


def links_of(version: ModelVersion) -> MlflowLinks:
    """Return links to a version, its training and its evaluation."""
    from review_sentiment.tracking.mlflow_store import reaching
    from review_sentiment.tracking.recorded_runs import experiment_of

    store = tracking_uri()
    remote = store.startswith("http")
    pages = f"{store if remote else f'http://{HOST}:{MLFLOW_PORT}'}/#"
    links = {"Version in MLflow": f"{pages}/models/{version.name}/versions/{version.version}{VIEW}"}
    try:
        with reaching(store):
            runs = f"{pages}/experiments/{experiment_of(version.run_id)}/runs"
    except TrackingError:  # the run was deleted
        return MlflowLinks(links, remote or _is_listening())
    links["Training in MLflow"] = f"{runs}/{version.run_id}{VIEW}"
    if version.evaluation_run:
        links["Evaluation in MLflow"] = f"{runs}/{version.evaluation_run}{VIEW}"
    return MlflowLinks(links, remote or _is_listening())


def _is_listening() -> bool:
    with socket.socket() as probe:
        probe.settimeout(PROBE_SECONDS)
        return probe.connect_ex((HOST, MLFLOW_PORT)) == 0
