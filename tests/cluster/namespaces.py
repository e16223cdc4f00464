"""Namespaces that a test may change: made by the project's manifests, as docs/gpu.md describes."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.front_door import ROOT
from tests.remote.engines import run


@contextmanager
def namespace(kubeconfig: Path, directory: Path) -> Iterator[str]:
    """Apply docker/kubernetes with another namespace, and delete that at the end."""
    name = f"team-{uuid.uuid4().hex[:6]}"
    manifests = directory / name
    shutil.copytree(ROOT / "docker" / "kubernetes", manifests)
    file = manifests / "kustomization.yaml"
    text = file.read_text()
    assert "\nnamespace: zenml\n" in text
    file.write_text(text.replace("\nnamespace: zenml\n", f"\nnamespace: {name}\n"))
    kubectl = ("kubectl", "--kubeconfig", str(kubeconfig))
    run(*kubectl, "apply", "--kustomize", str(manifests))
    try:
        yield name
    finally:
        run(*kubectl, "delete", "namespace", name, "--wait=false")


def kubeconfig_of_account(kubeconfig: Path, namespace: str, account: str) -> Path:
    """Return a file with the same context, whose user is a service account."""
    kubectl = ("kubectl", "--kubeconfig", str(kubeconfig), "--namespace", namespace)
    secret = run(*kubectl, "get", "serviceaccount", account, "--output", "jsonpath={.secrets[0].name}")
    token = run(*kubectl, "get", "secret", secret, "--output", "go-template={{.data.token | base64decode}}")
    content = json.loads(run(*kubectl, "config", "view", "--raw", "--output", "json"))
    for user in content["users"]:
        user["user"] = {"token": token}
    file = kubeconfig.with_name(f"{namespace}-{account}.conf")
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return file
