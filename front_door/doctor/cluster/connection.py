"""The cluster that a stack file names, and requests to its API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from front_door.cluster.client import open_client
from front_door.doctor.checks import SECONDS_TO_ANSWER
from review_sentiment.errors import ReviewSentimentError, UsageError, first_line

if TYPE_CHECKING:
    from front_door.stack.files import StackFile

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, INVALID = 401, 403, 404, 422


class NotAllowedError(ReviewSentimentError):
    """The person's account may not make this request."""


class InvalidObjectError(UsageError):
    """The API server finds a value of an object invalid."""


REFUSALS = {FORBIDDEN: NotAllowedError, INVALID: InvalidObjectError}


@dataclass(frozen=True)
class StackCluster:
    """The cluster of a stack; `pods` and `gpu_pods` are ZenML's settings of pods without and with a GPU."""

    context: str
    namespace: str
    account: str
    pods: Mapping[str, Any]
    gpu_pods: Mapping[str, Any]

    @cached_property
    def api(self) -> Any:
        """Return the client of its API.

        Raises:
            UsageError: the kubeconfig does not have the context.
        """
        return open_client(self.context)

    def ask(self, request: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a request, and return the answer; None if the object does not exist.

        Raises:
            NotAllowedError: the person may not make it.
            InvalidObjectError: an object in it is invalid.
            UsageError: the sign-in is wrong or has expired.
            ReviewSentimentError: the API server refuses it for another reason, or does not respond.
        """
        import json

        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return request(*arguments, _request_timeout=SECONDS_TO_ANSWER, **options)
        except ApiException as error:
            if error.status == NOT_FOUND:
                return None
            if error.status == UNAUTHORIZED:
                raise UsageError(
                    f"The cluster of KUBERNETES_CONTEXT={self.context} does not accept your sign-in. "
                    f"Sign in again, and check with `kubectl --context {self.context} get pods`."
                ) from error
            is_json = (error.headers or {}).get("Content-Type", "").startswith("application/json")
            message = json.loads(error.body)["message"] if is_json else f"{error.status} {error.reason}"
            kind = REFUSALS.get(error.status, ReviewSentimentError)
            raise kind(f"The cluster of KUBERNETES_CONTEXT={self.context} answered: {message}") from error
        except HTTPError as error:
            raise ReviewSentimentError(
                f"The cluster of KUBERNETES_CONTEXT={self.context}, {self.api.configuration.host}, does not "
                f"respond: {first_line(error).rpartition(': ')[2]}. Check your network or VPN, and "
                f"`kubectl --context {self.context} get nodes`."
            ) from error


def cluster_of_stack(file: StackFile) -> StackCluster | None:
    """Return the cluster that a stack runs on; None if it is not Kubernetes."""
    if not file.runs_on_cluster:
        return None
    own = file.components["orchestrator"].configuration
    return StackCluster(
        context=own["kubernetes_context"],
        namespace=own["kubernetes_namespace"],
        account=own["service_account_name"],
        pods=own.get("pod_settings", {}),
        gpu_pods=file.components["step_operator"].configuration.get("pod_settings", {}),
    )
