"""What shows that a pod has access to a service: HTTP requests with the credentials that steps use."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from front_door.doctor.s3 import CONTENT, ObjectInStore

if TYPE_CHECKING:
    from front_door.stack.files import StackFile

SECONDS_VALID = 600
"""For signed URLs: longer than the probe pod may run."""


@dataclass(frozen=True)
class HttpRequest:
    """A request. Its URL, its headers and its body may have credentials."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str = field(default="", repr=False)


@dataclass(frozen=True)
class ServiceAccess:
    """A service, its address for people, requests that all succeed with access, and what that shows."""

    name: str
    address: str
    requests: tuple[HttpRequest, ...]
    success: str


def access_of_steps(file: StackFile) -> list[ServiceAccess]:
    """Return the access that the steps of a stack need."""
    return [to_s3(file), to_mlflow(file), to_zenml()]


def to_s3(file: StackFile) -> ServiceAccess:
    """Return access to the bucket by signed URLs: before the first build, a pod has no package that signs."""
    store = file.components["artifact_store"].configuration
    made = ObjectInStore(store, file.secrets)
    made.write()  # the client learns the region of the bucket, without which a URL is signed for another one
    made.delete()
    operations = {"PUT": "put_object", "GET": "get_object", "DELETE": "delete_object"}
    urls = {method: made.signed_url(operation, SECONDS_VALID) for method, operation in operations.items()}
    requests = tuple(
        HttpRequest(method, url, body=CONTENT.decode() if method == "PUT" else "")
        for method, url in urls.items()
    )
    address = f"{store['path']} at {store['client_kwargs']['endpoint_url']}"
    return ServiceAccess("S3", address, requests, "written, read, deleted")


def to_mlflow(file: StackFile) -> ServiceAccess:
    """Return access to the MLflow server by name and password."""
    url = file.components["experiment_tracker"].configuration["tracking_uri"]
    login = f"{file.secrets['MLFLOW_TRACKING_USERNAME']}:{file.secrets['MLFLOW_TRACKING_PASSWORD']}"
    headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
    search = f"{url.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    return ServiceAccess("MLflow", url, (HttpRequest("GET", search, headers),), "signed in")


def to_zenml() -> ServiceAccess:
    """Return access to the ZenML server by a token."""
    from zenml.constants import API, CURRENT_USER, VERSION_1
    from zenml.zen_stores.rest_zen_store import RestZenStore

    from operators.zenml_store import connect

    store = connect().zen_store
    assert isinstance(store, RestZenStore)  # the check of the ZenML server has passed
    headers = {"Authorization": f"Bearer {store.get_or_generate_api_token()}"}
    request = HttpRequest("GET", f"{store.url}{API}{VERSION_1}{CURRENT_USER}", headers)
    return ServiceAccess("ZenML", store.url, (request,), "signed in")
