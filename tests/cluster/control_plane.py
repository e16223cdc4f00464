"""A Kubernetes cluster of one node on loopback: etcd, the control plane, dockerd and a kubelet.

Pods are in the network of the node, where all services listen on loopback. The node has GPUs as a resource
that the scheduler counts; a container gets no device.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from kubernetes import client, config

from tests.ports import free_ports
from tests.remote.engines import docker_engine, run
from tests.remote.server import Server, wait_until

CONTEXT = "tests"
NODE = "localhost"
"""The name at which the API server reaches the kubelet, for logs."""
PAUSE_IMAGE = "pause:tests"
RUNC = Path(__file__).with_name("runc-for-tests")
NETWORK_PLUGIN = """#!/bin/sh
cat >/dev/null
test "$CNI_COMMAND" = DEL || echo '{"cniVersion": "0.3.1", "supportedVersions": ["0.3.1"]}'
"""
"""A plugin that adds no network to a pod. The kubelet then takes the address of eth0 for that of the pod."""
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"resources": ["secrets", "serviceaccounts/token"]}]},
        {"level": "RequestResponse", "verbs": ["create", "update", "patch"]},
        {"level": "Metadata"},
    ],
}
"""All that is ever written to the API server is logged, except the contents of secrets."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its servers by name, and the configuration of its administrator's clients."""

    servers: dict[str, Server]
    kubeconfig: Path

    @property
    def docker_host(self) -> str:
        """Return the address of the Docker daemon whose containers are the node's."""
        return self.servers["dockerd"].environment["DOCKER_HOST"]

    @property
    def audit_log(self) -> Path:
        """Return the log of all that was written to the API server."""
        return self.servers["kube-apiserver"].directory / "audit.log"

    def api(self) -> Any:
        """Return an administrator's client."""
        return config.new_client_from_config(str(self.kubeconfig), CONTEXT)

    def core(self) -> Any:
        """Return the API of pods, events, nodes and secrets."""
        return client.CoreV1Api(self.api())

    def set_gpus(self, count: int) -> None:
        """Set the number of GPUs that the node has, and wait until they can be requested."""
        patch = [{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": str(count)}]
        core = self.core()
        core.patch_node_status(NODE, patch)

        def allocatable() -> None:
            found = core.read_node(NODE).status.allocatable.get("nvidia.com/gpu")
            assert found == str(count), f"{found} GPUs"

        wait_until(allocatable, f"{NODE} does not have {count} GPUs")


@contextmanager
def cluster(
    directory: Path, programs: Path, images: Path, registry: str = "127.0.0.1:1"
) -> Iterator[Cluster]:
    """Start a cluster in the directory with the programs that install.sh built; stop it by process ids."""
    # Pods find the API server at the first address of the services' network: here, it listens there itself.
    network = f"127.{secrets.randbelow(120) + 100}.{secrets.randbelow(256)}"
    tokens = {"admin": secrets.token_hex(16), f"system:node:{NODE}": secrets.token_hex(16)}
    docker = docker_engine(
        directory, images, registry,
        "--exec-opt", "native.cgroupdriver=cgroupfs",
        "--add-runtime", f"plain={RUNC}", "--default-runtime", "plain",
    )  # fmt: skip
    etcd = _etcd(directory, programs)
    api_server = _api_server(directory, programs, network, tokens, etcd)
    admin, node = (
        _kubeconfig(api_server, f"{name}.conf", f"https://{network}.1", token)
        for name, token in zip(("admin", "kubelet"), tokens.values(), strict=True)
    )
    servers = [
        docker,
        etcd,
        api_server,
        _controllers(directory, programs, api_server, admin),
        _scheduler(directory, programs, admin),
        _kubelet(directory, programs, docker, node),
    ]
    running = Cluster({server.name: server for server in servers}, admin)
    with ExitStack() as started:
        started.enter_context(_shared_mount(directory / "kubelet" / "state"))
        for server in servers:
            started.callback(server.stop)
            server.start()
            if server is docker:
                started.callback(_remove_containers, running.docker_host)
                _import_pause_image(running, programs)
        _wait_for_node(running)
        running.set_gpus(1)
        yield running


def _own(parent: Path, name: str) -> Path:
    directory = parent / name
    directory.mkdir(parents=True)
    return directory


def _etcd(parent: Path, programs: Path) -> Server:
    directory = _own(parent, "etcd")
    clients, peers = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    command = [
        str(programs / "etcd"), "--data-dir", str(directory / "data"), "--listen-client-urls", clients,
        "--advertise-client-urls", clients, "--listen-peer-urls", peers,
        "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
    ]  # fmt: skip
    return Server(
        "etcd",
        command,
        directory,
        lambda: httpx2.get(f"{clients}/health").raise_for_status(),
        {"ETCD_ADDRESS": clients},
    )


def _api_server(parent: Path, programs: Path, network: str, tokens: dict[str, str], etcd: Server) -> Server:
    directory = _own(parent, "api-server")
    groups = ("system:masters", "system:nodes")
    rows = zip(tokens.items(), groups, strict=True)
    (directory / "tokens.csv").write_text(
        "".join(f"{token},{user},{user},{group}\n" for (user, token), group in rows)
    )
    (directory / "audit.yaml").write_text(json.dumps(AUDIT))
    run("openssl", "genrsa", "-out", "accounts.key", "2048", cwd=directory)
    run("openssl", "rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub", cwd=directory)
    command = [
        str(programs / "kube-apiserver"), f"--etcd-servers={etcd.environment['ETCD_ADDRESS']}",
        f"--bind-address={network}.1", "--secure-port=443", f"--service-cluster-ip-range={network}.0/24",
        "--cert-dir=certificates", "--token-auth-file=tokens.csv", "--authorization-mode=Node,RBAC",
        "--service-account-key-file=accounts.pub", "--service-account-signing-key-file=accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc", "--allow-privileged=true",
        "--kubelet-preferred-address-types=Hostname", "--audit-policy-file=audit.yaml",
        "--audit-log-path=audit.log",
    ]  # fmt: skip

    def answers() -> None:
        httpx2.get(f"https://{network}.1/readyz", verify=str(_authority(directory))).raise_for_status()

    return Server("kube-apiserver", command, directory, answers)


def _authority(api_server: Path) -> Path:
    """Return the certificates that the API server makes at its start: its own and its authority's."""
    return api_server / "certificates" / "apiserver.crt"


def _kubeconfig(api_server: Server, name: str, address: str, token: str) -> Path:
    file = api_server.directory / name
    place = {"server": address, "certificate-authority": str(_authority(api_server.directory))}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": place}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return file


def _controllers(parent: Path, programs: Path, api_server: Server, kubeconfig: Path) -> Server:
    (port,) = free_ports(1)
    command = [
        str(programs / "kube-controller-manager"), f"--kubeconfig={kubeconfig}", "--leader-elect=false",
        f"--service-account-private-key-file={api_server.directory / 'accounts.key'}",
        f"--root-ca-file={_authority(api_server.directory)}", "--cert-dir=certificates",
        "--bind-address=127.0.0.1", "--port=0", f"--secure-port={port}",
    ]  # fmt: skip
    return Server("kube-controller-manager", command, _own(parent, "controllers"), _healthy(port))


def _scheduler(parent: Path, programs: Path, kubeconfig: Path) -> Server:
    (port,) = free_ports(1)
    command = [
        str(programs / "kube-scheduler"), f"--kubeconfig={kubeconfig}", "--leader-elect=false",
        "--cert-dir=certificates", "--bind-address=127.0.0.1", "--port=0", f"--secure-port={port}",
    ]  # fmt: skip
    return Server("kube-scheduler", command, _own(parent, "scheduler"), _healthy(port))


def _healthy(port: int) -> Any:
    """Return a check of a server whose certificate is its own."""
    return lambda: httpx2.get(f"https://127.0.0.1:{port}/healthz", verify=False).raise_for_status()


def _kubelet(parent: Path, programs: Path, docker: Server, kubeconfig: Path) -> Server:
    directory = _own(parent, "kubelet")
    logs, state = _own(directory, "logs"), _own(directory, "state")
    port, health = free_ports(2)
    command = [
        # The kubelet keeps logs in /var/log, where kubelets that share a machine remove each other's.
        "unshare", "--mount", "--propagation", "unchanged", "sh", "-c",
        f'mount --make-private / && mount --bind {logs} /var/log && exec "$@"', "kubelet",
        str(programs / "kubelet"), f"--kubeconfig={kubeconfig}", f"--hostname-override={NODE}",
        "--container-runtime=docker", f"--docker-endpoint={docker.environment['DOCKER_HOST']}",
        f"--experimental-dockershim-root-directory={directory / 'shim'}", f"--root-dir={state}",
        f"--cert-dir={directory / 'certificates'}", f"--pod-infra-container-image={PAUSE_IMAGE}",
        "--address=127.0.0.1", f"--port={port}", "--read-only-port=0",
        "--healthz-bind-address=127.0.0.1", f"--healthz-port={health}",
        "--cgroup-driver=cgroupfs", "--cgroups-per-qos=false", "--enforce-node-allocatable=",
        "--network-plugin=cni", *_network_plugin(directory), "--make-iptables-util-chains=false",
        "--cluster-dns=127.0.0.1",
        "--fail-swap-on=false", "--eviction-hard=", "--resolv-conf=/etc/resolv.conf",
        "--serialize-image-pulls=false",
    ]  # fmt: skip

    def answers() -> None:
        httpx2.get(f"http://127.0.0.1:{health}/healthz").raise_for_status()

    return Server("kubelet", command, directory, answers)


def _network_plugin(parent: Path) -> list[str]:
    """Write the network plugin, also under the name that the kubelet asks for; return the options for it."""
    programs, configuration = _own(parent, "cni-programs"), _own(parent, "cni")
    for name in ("node", "loopback"):
        program = programs / name
        program.write_text(NETWORK_PLUGIN)
        program.chmod(0o755)
    content = {"cniVersion": "0.3.1", "name": "node", "type": "node"}
    (configuration / "node.conf").write_text(json.dumps(content))
    cache = parent / "cni-cache"
    return [f"--cni-bin-dir={programs}", f"--cni-conf-dir={configuration}", f"--cni-cache-dir={cache}"]


@contextmanager
def _shared_mount(state: Path) -> Iterator[None]:
    """Let dockerd see what the kubelet mounts for pods in its own namespace."""
    run("mount", "--bind", str(state), str(state))
    run("mount", "--make-shared", str(state))
    try:
        yield
    finally:
        run("umount", "--recursive", "--lazy", str(state))


def _import_pause_image(running: Cluster, programs: Path) -> None:
    """Give dockerd the image of sandboxes, the pause program alone; remove what earlier clusters left."""
    _remove_containers(running.docker_host)
    archive = running.servers["dockerd"].directory / "pause.tar"
    run("tar", "--create", "--file", str(archive), "--directory", str(programs), "pause")
    entry = 'ENTRYPOINT ["/pause"]'
    run("docker", "--host", running.docker_host, "import", "--change", entry, str(archive), PAUSE_IMAGE)


def _remove_containers(docker_host: str) -> None:
    """Remove all containers, which would outlive dockerd: nobody is left to end them."""
    docker = ("docker", "--host", docker_host)
    if containers := run(*docker, "ps", "--all", "--quiet").split():
        run(*docker, "rm", "--force", *containers)


def _wait_for_node(running: Cluster) -> None:
    core = running.core()

    def ready() -> None:
        conditions = {one.type: one.status for one in core.read_node(NODE).status.conditions}
        assert conditions["Ready"] == "True", conditions

    wait_until(ready, f"{NODE} is not ready; its log is {running.servers['kubelet'].log}")
