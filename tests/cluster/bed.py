"""The test bed of `--stack gpu`: the services of `tests/remote` and a cluster whose pods use them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.control_plane import CONTEXT, Cluster, cluster
from tests.cluster.programs import built_programs
from tests.front_door import ROOT
from tests.ports import free_ports
from tests.remote.bed import TestBed, services
from tests.remote.engines import run

NAMESPACE = "zenml"
PULL_SECRET = "registry-login"


@dataclass(frozen=True)
class ClusterBed(TestBed):
    """Services and the cluster."""

    __test__ = False

    cluster: Cluster


@contextmanager
def cluster_bed(directory: Path, kept: Path, model: Path) -> Iterator[ClusterBed]:
    """Start all that `--stack gpu` needs, and stop it by process ids; images stay in the directory `kept`."""
    (registry_port,) = free_ports(1)
    registry = f"127.0.0.1:{registry_port}"
    with cluster(directory / "cluster", built_programs(), kept / "docker", registry) as running:
        docker = running.servers["dockerd"]
        with services(directory, kept, model, docker, registry_port) as bed:
            _prepare_namespace(running, Path(bed.environment["DOCKER_CONFIG"]) / "config.json")
            _add_cache_volume(running, directory / "cache-volume")
            own = {
                "KUBECONFIG": str(running.kubeconfig),
                "KUBERNETES_CONTEXT": CONTEXT,
                "KUBERNETES_NAMESPACE": NAMESPACE,
                "IMAGE_PULL_SECRET": PULL_SECRET,
                "GPU_POD_CPU": "500m",
                "GPU_POD_MEMORY": "4Gi",
            }
            yield ClusterBed(
                bed.servers | running.servers, bed.environment | own, bed.passwords, cluster=running
            )


def _prepare_namespace(running: Cluster, docker_login: Path) -> None:
    """Create what docs/gpu.md has a user create."""
    kubectl = ("kubectl", "--kubeconfig", str(running.kubeconfig))
    run(*kubectl, "apply", "--kustomize", str(ROOT / "docker" / "kubernetes"))
    run(
        *kubectl, "--namespace", NAMESPACE, "create", "secret", "docker-registry", PULL_SECRET,
        f"--from-file=.dockerconfigjson={docker_login}",
    )  # fmt: skip


def _add_cache_volume(running: Cluster, directory: Path) -> None:
    """Add the volume for the claim of docker/kubernetes/cache.yaml: a directory that pods can write."""
    directory.mkdir()
    shutil.chown(directory, 1000)
    spec = {
        "capacity": {"storage": "60Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(directory)},
        "claimRef": {"namespace": NAMESPACE, "name": "review-sentiment-cache"},
    }
    running.core().create_persistent_volume({"metadata": {"name": "cache"}, "spec": spec})
