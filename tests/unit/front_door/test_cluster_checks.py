"""What a stack's cluster lacks is said in one paragraph with the fix; tests/cluster asks a real one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from front_door.doctor.cluster.access import HttpRequest
from front_door.doctor.cluster.checks import PROBES, check_cluster, require_cluster
from front_door.doctor.cluster.connection import StackCluster, cluster_of_stack
from front_door.doctor.cluster.reach import problem_of
from front_door.doctor.cluster.rights import OF_PODS
from front_door.stack.active import ROOT
from front_door.stack.files import read_stack
from review_sentiment.errors import ReviewSentimentError, UsageError
from tests.unit.front_door.test_stack_files import VARIABLES

CORE = "/api/v1"
NAMESPACE = f"{CORE}/namespaces/zenml"
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
AUTOSCALER = f"{CORE}/namespaces/kube-system/configmaps/cluster-autoscaler-status"
KARPENTER = "/apis/karpenter.sh/v1/nodepools"
VERSION_FIELDS = (
    *("major", "minor", "gitVersion", "gitCommit", "gitTreeState"),
    *("buildDate", "goVersion", "compiler", "platform"),
)
CLAIM = "{name: cache, persistentVolumeClaim: {claimName: models}}"


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **fields}


def items(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"items": list(objects)}


def gpu_node(**spec: Any) -> dict[str, Any]:
    has = {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"}
    return named("gpu-1", spec=spec, status={"allocatable": has})


def quota(hard: str, used: str = "0") -> dict[str, Any]:
    limit = {"requests.nvidia.com/gpu": hard}
    return named("team", spec={"hard": limit}, status={"hard": limit, "used": {next(iter(limit)): used}})


def stored(name: str, binding: str) -> dict[str, Any]:
    return named(name, provisioner="x", volumeBindingMode=binding)


class ApiServer(BaseHTTPRequestHandler):
    """Answers with the objects by path, or a status; access reviews deny the rights in `denied`."""

    objects: dict[str, Any]
    denied: set[str]

    def do_GET(self) -> None:
        found = self.objects.get(self.path, 404)
        self._answer(found, {}) if isinstance(found, int) else self._answer(200, found)

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.split("/")[2].startswith("authorization"):
            self._answer(*self.objects.get(f"POST {self.path}", (404, {})))
            return
        asked = review["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        who = "pods" if "user" in review["spec"] else "you"
        allowed = f"{who} {asked['verb']} {resource}" not in self.denied
        self._answer(201, review | {"status": {"allowed": allowed}})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content or {"message": f"the server answers {status}"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ApiServer]]:
    """Yield a server with all that the stack `gpu` needs, which the context `team` points to."""
    objects = {
        "/version/": dict.fromkeys(VERSION_FIELDS, "1"),
        NAMESPACE: named("zenml"),
        f"{NAMESPACE}/serviceaccounts/zenml": named("zenml"),
        f"{CORE}/nodes": items(gpu_node(), named("cpu-1", spec={}, status={"allocatable": {"cpu": "2"}})),
        f"{NAMESPACE}/resourcequotas": items(quota("4", "1")),
        RUNTIME_CLASSES: items(named("nvidia", handler="nvidia")),
        f"{RUNTIME_CLASSES}/nvidia": named("nvidia", handler="nvidia"),
        STORAGE_CLASSES: items(stored("fast", "WaitForFirstConsumer"), stored("slow", "Immediate")),
    }
    handler = type("Handler", (ApiServer,), {"objects": objects, "denied": set()})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{running.server_address[1]}", monkeypatch)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    yield handler
    running.shutdown()
    running.server_close()


def write_kubeconfig(file: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a file with the context `team`; the Kubernetes package reads KUBECONFIG when it is imported."""
    content = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "word-of-kubernetes"}}],
        "contexts": [{"name": "team", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "team",
    }
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))


def cluster() -> StackCluster:
    found = cluster_of_stack(read_stack("gpu"))
    assert found is not None
    return found


def test_a_cluster_with_all_that_a_run_needs_passes(server: type[ApiServer]) -> None:
    found = {check.name: check for check in check_cluster(cluster())}
    assert [check for check in found.values() if not check.ok] == []
    assert list(found) == list(PROBES)
    assert found["GPU nodes"].found == "1 on 1 of 2 nodes, free or in use"
    assert found["quota"].found == "requests.nvidia.com/gpu: 1 of 4 in use"
    require_cluster(cluster())


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ({AUTOSCALER: named("cluster-autoscaler-status")}, "now; the cluster's autoscaler may add one"),
        ({KARPENTER: items(named("gpus"))}, "on the 1 nodes now; Karpenter may add one"),
        ({AUTOSCALER: 403}, "not checked."),
    ],
)
@pytest.mark.parametrize(
    "node", [named("a", spec={}, status={"allocatable": {}}), gpu_node(unschedulable=True)]
)
def test_nodes_that_an_autoscaler_adds_when_a_pod_waits_are_enough(
    server: type[ApiServer], objects: dict[str, Any], found: str, node: dict[str, Any]
) -> None:
    server.objects |= {f"{CORE}/nodes": items(node)} | objects
    (check,) = [check for check in check_cluster(cluster()) if check.name == "GPU nodes"]
    assert check.ok
    assert found in check.found
    require_cluster(cluster())


def test_karpenter_without_pools_adds_no_nodes(server: type[ApiServer]) -> None:
    server.objects |= {f"{CORE}/nodes": items(gpu_node(unschedulable=True)), KARPENTER: items()}
    with pytest.raises(UsageError, match="cordoned"):
        require_cluster(cluster())


@pytest.mark.parametrize(
    ("variables", "objects", "message"),
    [
        ({"KUBERNETES_CONTEXT": "teem"}, {}, r"=teem is not .* Did you mean 'team'\?"),
        ({}, {"/version/": 401}, r"does not accept your sign-in.*kubectl --context team"),
        ({"KUBERNETES_NAMESPACE": "ml"}, {}, r"no namespace ml\. `kubectl apply -k docker/kubernetes`"),
        ({"KUBERNETES_SERVICE_ACCOUNT": "x"}, {}, r"no service account x\. `kubectl apply -k"),
        ({}, {f"{CORE}/nodes": items(named("a", spec={}, status={"allocatable": {}}))}, "device plugin"),
        ({}, {f"{CORE}/nodes": items(gpu_node(unschedulable=True))}, r"gpu-1: cordoned\)"),
        (
            {},
            {f"{CORE}/nodes": items(gpu_node(taints=[{"key": "spot", "effect": "NoSchedule"}]))},
            r"taint spot=:NoSchedule is not tolerated\)\. Correct GPU_NODE_SELECTOR, GPU_TOLERATIONS",
        ),
        ({"GPU_NODE_SELECTOR": "{gpu: l4}"}, {}, "label gpu is missing, not l4"),
        ({}, {f"{NAMESPACE}/resourcequotas": items(quota("0"))}, "quota team .* allows 0 .* requests 1"),
        ({"IMAGE_PULL_SECRET": "pull"}, {}, "IMAGE_PULL_SECRET=pull does not exist .* docker-registry pull"),
        (
            {"IMAGE_PULL_SECRET": "pull"},
            {f"{NAMESPACE}/secrets/pull": named("pull", type="Opaque")},
            "has the type Opaque",
        ),
        ({"GPU_RUNTIME_CLASS": "nvidea"}, {}, r"=nvidea is not .* Did you mean 'nvidia'\? It has nvidia\."),
        ({"GPU_CACHE_VOLUME": CLAIM}, {}, "the claim models, which the namespace zenml does not have"),
    ],
)
def test_what_the_cluster_lacks_is_wrong_usage(
    server: type[ApiServer],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    objects: dict[str, Any],
    message: str,
) -> None:
    server.objects |= objects
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message) as raised:
        require_cluster(cluster())
    assert "\n" not in str(raised.value)
    failed = [check for check in check_cluster(cluster()) if not check.ok]
    assert [check.found for check in failed] == [str(raised.value)]


@pytest.mark.parametrize(
    ("variable", "storage", "phase", "message"),
    [
        ("claim", "fats", "Pending", r"storage class fats, .* Did you mean 'fast'\? It has fast, slow"),
        ("claim", None, "Pending", "asks for the default storage class, .* has none"),
        ("claim", "slow", "Pending", "claim models .* is Pending.*describe pvc models"),
        ("claim", "", "Pending", "claim models .* is Pending"),
        ("ephemeral", "fats", "", "GPU_CACHE_VOLUME asks for the storage class fats"),
        ("claim", "fast", "Pending", ""),
        ("claim", "slow", "Bound", ""),
        ("ephemeral", "fast", "", ""),
    ],
)
def test_a_volume_whose_storage_class_is_unknown_is_refused(
    server: type[ApiServer],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    storage: str | None,
    phase: str,
    message: str,
) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": storage}
    claim = named("models", spec=spec, status={"phase": phase})
    server.objects[f"{NAMESPACE}/persistentvolumeclaims/models"] = claim
    volume = {"name": "cache", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
    monkeypatch.setenv("GPU_CACHE_VOLUME", CLAIM if variable == "claim" else json.dumps(volume))
    with pytest.raises(UsageError, match=message) if message else nullcontext():
        require_cluster(cluster())


def test_every_missing_right_is_named(server: type[ApiServer]) -> None:
    server.denied |= {"you create jobs", "you get pods/log"}
    with pytest.raises(UsageError, match=r"may not create jobs\.batch, get pods/log .*clusterrole=edit"):
        require_cluster(cluster())
    server.denied.clear()
    server.denied.add("pods delete secrets")
    with pytest.raises(UsageError, match=r"service account zenml .* may not delete secrets, .*apply -k"):
        require_cluster(cluster())


def test_what_a_person_may_not_read_is_said_and_does_not_stop_a_run(server: type[ApiServer]) -> None:
    server.objects[f"{CORE}/nodes"] = 403
    require_cluster(cluster())
    (nodes,) = [check for check in check_cluster(cluster()) if check.name == "GPU nodes"]
    assert nodes.ok
    assert nodes.found.startswith("not checked. The cluster of KUBERNETES_CONTEXT=team answered: ")


def test_a_cluster_that_is_down_is_no_wrong_usage(
    server: type[ApiServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9", monkeypatch)
    with pytest.raises(
        ReviewSentimentError, match=r"http://127\.0\.0\.1:9, does not respond: .*refused"
    ) as down:
        require_cluster(cluster())
    assert not isinstance(down.value, UsageError)
    assert [check.name for check in check_cluster(cluster())] == ["Kubernetes"]  # the others need it


def test_a_wrong_context_ends_a_run_with_code_2(
    server: type[ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from front_door.doctor.services import require_services
    from review_sentiment.config import Settings

    monkeypatch.setenv("KUBERNETES_CONTEXT", "teem")
    with pytest.raises(UsageError, match="KUBERNETES_CONTEXT=teem") as raised:
        require_services(read_stack("gpu"), Settings())
    assert raised.value.exit_code == 2


def test_the_manifests_grant_exactly_the_rights_that_are_checked() -> None:
    documents = yaml.safe_load_all((ROOT / "docker/kubernetes/access.yaml").read_text(encoding="utf-8"))
    (role,) = [each for each in documents if each["kind"] == "Role"]
    granted = {
        (verb, resource, group)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted == {(right.verb, right.resource, right.group) for right in OF_PODS}
    assert not {"*"} & {word for right in granted for word in right}


def test_a_pod_reports_why_a_request_fails(server: type[ApiServer]) -> None:
    def problem(url: str) -> str | None:
        return problem_of(asdict(HttpRequest("GET", url)))

    host = cluster().api.configuration.host
    server.objects |= {"/broken": 503, "/forbidden": 403}
    assert problem(f"{host}/version/") is None
    assert problem(f"{host}/forbidden") == "HTTP 403 Forbidden"
    assert problem(f"{host}/broken") == "HTTP 503 Service Unavailable"
    assert "refused" in str(problem("http://127.0.0.1:9"))
    assert "unknown url type" in str(problem("sqlite:///zenml.db"))
