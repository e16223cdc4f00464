"""The client of the cluster that a context of the user's kubeconfig names."""

from __future__ import annotations

from typing import Any

from review_sentiment.errors import UsageError, did_you_mean, first_line


def open_client(context: str | None) -> Any:
    """Return the client that the Kubernetes package's API classes take; None is the current context.

    Raises:
        UsageError: the kubeconfig cannot be read, or does not have the context.
    """
    from kubernetes import client, config

    named = f"KUBERNETES_CONTEXT={context}"
    try:
        known = [each["name"] for each in config.list_kube_config_contexts()[0]]
        if context is not None and context not in known:
            raise UsageError(
                f"{named} is not in your kubeconfig.{did_you_mean(context, known)} "
                "`kubectl config get-contexts` lists its contexts."
            )
        configuration = client.Configuration()
        config.load_kube_config(context=context, client_configuration=configuration)
    except config.ConfigException as error:
        raise UsageError(
            f"The kubeconfig cannot be read for {named}: {first_line(error)} "
            "Set KUBECONFIG to its path, and check it with `kubectl config view`."
        ) from error
    configuration.retries = False  # by default, three more tries, each as long as the first
    return client.ApiClient(configuration)
