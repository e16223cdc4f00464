"""All checks of a cluster, in the order in which they build on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from front_door.doctor.checks import Check, run_check
from front_door.doctor.cluster.capacity import check_gpus, check_quota
from front_door.doctor.cluster.connection import NotAllowedError, StackCluster
from front_door.doctor.cluster.objects import (
    check_namespace,
    check_pull_secret,
    check_runtime_class,
    check_server,
    check_volumes,
)
from front_door.doctor.cluster.rights import check_account, check_submitter

Probe = Callable[[StackCluster], str]
BASE: dict[str, Probe] = {"Kubernetes": check_server, "namespace": check_namespace}
"""If one of these fails, so do all others."""
PROBES: dict[str, Probe] = BASE | {
    "rights": check_submitter,
    "account": check_account,
    "GPU nodes": check_gpus,
    "quota": check_quota,
    "pull secret": check_pull_secret,
    "runtime class": check_runtime_class,
    "cache volume": check_volumes,
}


def check_cluster(cluster: StackCluster) -> Iterator[Check]:
    """Yield the checks of what a run needs in the cluster; they change nothing there."""
    for name, probe in PROBES.items():
        check = run_check(name, partial(_result, probe, cluster))
        yield check
        if not check.ok and name in BASE:
            return


def require_cluster(cluster: StackCluster) -> None:
    """Make the same checks before a run is submitted.

    Raises:
        ReviewSentimentError: the first one that failed.
    """
    for probe in PROBES.values():
        _result(probe, cluster)


def _result(probe: Probe, cluster: StackCluster) -> str:
    """Return what a probe found. What a person may not read may be right, so it does not count as failed."""
    try:
        return probe(cluster)
    except NotAllowedError as error:
        return f"not checked. {error}"
