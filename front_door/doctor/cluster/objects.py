"""The objects of the cluster that the pods of a run name: namespace, secrets, classes and volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from front_door.doctor.cluster.connection import StackCluster

PULL_SECRET_TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BOUND_BY_A_POD = "WaitForFirstConsumer"


def check_server(cluster: StackCluster) -> str:
    """Return the API server's version.

    Raises:
        UsageError: the kubeconfig does not have the context, or the sign-in is wrong.
        ReviewSentimentError: the server does not respond.
    """
    from kubernetes import client

    version = cluster.ask(client.VersionApi(cluster.api).get_code)
    return f"context {cluster.context}, version {version.git_version}"


def check_namespace(cluster: StackCluster) -> str:
    """Return the namespace.

    Raises:
        NotAllowedError: the person may not read it.
        UsageError: it does not exist.
    """
    from kubernetes import client

    if cluster.ask(client.CoreV1Api(cluster.api).read_namespace, cluster.namespace) is None:
        raise UsageError(
            f"KUBERNETES_CONTEXT={cluster.context} has no namespace {cluster.namespace}. `kubectl apply -k "
            "docker/kubernetes` creates it; KUBERNETES_NAMESPACE names another one."
        )
    return cluster.namespace


def check_pull_secret(cluster: StackCluster) -> str:
    """Return the secrets with the registry's credentials.

    Raises:
        NotAllowedError: the person may not read secrets.
        UsageError: one does not exist or has another type.
    """
    from kubernetes import client

    names = dict.fromkeys(
        name for pods in (cluster.pods, cluster.gpu_pods) for name in pods.get("image_pull_secrets", [])
    )
    read = client.CoreV1Api(cluster.api).read_namespaced_secret
    for name in names:
        secret = cluster.ask(read, name, cluster.namespace)
        if secret is None or secret.type not in PULL_SECRET_TYPES:
            problem = "does not exist" if secret is None else f"has the type {secret.type}"
            raise UsageError(
                f"IMAGE_PULL_SECRET={name} {problem} in the namespace {cluster.namespace}. Create it: "
                f"`kubectl --namespace {cluster.namespace} create secret docker-registry {name} "
                "--docker-server=REGISTRY --docker-username=USER --docker-password=PASSWORD`."
            )
    return ", ".join(names) or "none; nodes pull without one unless IMAGE_PULL_SECRET is set"


def check_runtime_class(cluster: StackCluster) -> str:
    """Return the runtime class of GPU steps.

    Raises:
        NotAllowedError: the person may not read runtime classes.
        UsageError: it does not exist.
    """
    from kubernetes import client

    name = cluster.gpu_pods.get("additional_pod_spec_args", {}).get("runtime_class_name")
    if not name:
        return "that of the nodes"
    classes = client.NodeV1Api(cluster.api)
    if cluster.ask(classes.read_runtime_class, name) is None:
        known = [each.metadata.name for each in cluster.ask(classes.list_runtime_class).items]
        raise UsageError(
            f"GPU_RUNTIME_CLASS={name} is not a runtime class of KUBERNETES_CONTEXT={cluster.context}."
            f"{did_you_mean(name, known)} It has {', '.join(known) or 'none'}. NVIDIA's GPU operator "
            "creates `nvidia`; leave the variable out if NVIDIA's runtime is the nodes' default."
        )
    return str(name)


def check_volumes(cluster: StackCluster) -> str:
    """Return the claims of GPU steps' volumes, and whether they are bound.

    Raises:
        NotAllowedError: the person may not read claims or storage classes.
        UsageError: a claim does not exist or cannot be bound, or a storage class does not exist.
    """
    found = []
    for volume in cluster.gpu_pods.get("volumes", []):
        if claim := volume.get("persistentVolumeClaim"):
            found.append(_claim(cluster, claim["claimName"]))
        elif template := volume.get("ephemeral", {}).get("volumeClaimTemplate"):
            storage = _storage_class(cluster, template["spec"].get("storageClassName"), "GPU_CACHE_VOLUME")
            found.append(f"a volume of the class {storage.metadata.name} for each step")
    return ", ".join(found) or "none: each GPU step downloads its model. GPU_CACHE_VOLUME sets one"


def _claim(cluster: StackCluster, name: str) -> str:
    from kubernetes import client

    read = client.CoreV1Api(cluster.api).read_namespaced_persistent_volume_claim
    claim = cluster.ask(read, name, cluster.namespace)
    if claim is None:
        raise UsageError(
            f"GPU_CACHE_VOLUME names the claim {name}, which the namespace {cluster.namespace} does not "
            "have. `kubectl apply -k docker/kubernetes` creates the claim review-sentiment-cache."
        )
    if claim.status.phase == "Bound":
        return f"{name}, bound to {claim.spec.volume_name}"
    if claim.spec.storage_class_name != "":  # which stands for volumes that someone makes by hand
        storage = _storage_class(cluster, claim.spec.storage_class_name, f"The claim {name}")
        if storage.volume_binding_mode == BOUND_BY_A_POD:
            return f"{name}, bound by the first GPU step (class {storage.metadata.name})"
    raise UsageError(
        f"The claim {name} of the namespace {cluster.namespace} is {claim.status.phase}. See why with "
        f"`kubectl --namespace {cluster.namespace} describe pvc {name}`."
    )


def _storage_class(cluster: StackCluster, name: str | None, owner: str) -> Any:
    """Return a storage class, the cluster's default if it has no name.

    Raises:
        NotAllowedError: the person may not list storage classes.
        UsageError: it does not exist.
    """
    from kubernetes import client

    classes = cluster.ask(client.StorageV1Api(cluster.api).list_storage_class).items
    known = {each.metadata.name: each for each in classes}
    if name in known:
        return known[name]
    defaults = [each for each in classes if (each.metadata.annotations or {}).get(DEFAULT_CLASS) == "true"]
    if name is None and defaults:
        return defaults[0]
    problem = (
        f"the storage class {name}, which KUBERNETES_CONTEXT={cluster.context} does not have."
        f"{did_you_mean(name, known)}"
        if name
        else f"the default storage class, and KUBERNETES_CONTEXT={cluster.context} has none."
    )
    raise UsageError(
        f"{owner} asks for {problem} It has {', '.join(known) or 'no storage class'}. Set storageClassName "
        "there; docker/kubernetes/cache.yaml has it for the claim, which must be deleted before a change."
    )
