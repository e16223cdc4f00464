"""No password and no token is in an object of the cluster, in an event, or in the log of a pod."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.bed import NAMESPACE, ClusterBed
from tests.remote.engines import run
from tests.remote.test_secrets import names_found

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

TOKEN = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.")
"""A token of ZenML's server or of a service account."""


def kubectl(bed: ClusterBed, *arguments: str) -> str:
    return run("kubectl", "--kubeconfig", str(bed.cluster.kubeconfig), "--namespace", NAMESPACE, *arguments)


def found(bed: ClusterBed, text: str) -> set[str]:
    tokens = {"token"} if TOKEN.search(text) else set()
    return names_found(bed, [text.encode()]) | tokens


def test_nothing_that_was_written_to_the_api_server_has_one(
    bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    written = bed.cluster.audit_log.read_text()
    assert '"resource":"jobs"' in written
    assert found(bed, written) == set()


def test_objects_and_events_have_none(bed: ClusterBed, first_run: dict[str, Any]) -> None:
    kinds = kubectl(bed, "api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    shown = [kind for kind in kinds if kind != "secrets"]
    assert {"pods", "jobs.batch", "events", "configmaps"} <= set(shown)
    assert found(bed, kubectl(bed, "get", ",".join(shown), "--output=json")) == set()


def pod_logs(bed: ClusterBed) -> Iterator[Path]:
    return (bed.cluster.servers["kubelet"].directory / "logs" / "pods").rglob("*.log")


def test_logs_of_pods_have_none(bed: ClusterBed, first_run: dict[str, Any]) -> None:
    logs = {log: log.read_text() for log in pod_logs(bed) if log.exists()}
    assert len(logs) > 10
    assert {str(log): found(bed, text) for log, text in logs.items() if found(bed, text)} == {}


def test_a_pod_reads_the_run_token_from_a_secret_that_goes_with_the_run(
    bed: ClusterBed, first_run: dict[str, Any]
) -> None:
    # The tokens of service accounts have a type of their own.
    names = kubectl(bed, "get", "secrets", "--field-selector=type=Opaque", "--output=name").split()
    assert [name for name in names if "zenml-token" in name] == []
