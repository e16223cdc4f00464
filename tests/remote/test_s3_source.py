"""Tables in a real S3 store, which checks signatures."""

from __future__ import annotations

import gzip
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.errors import DataError, UsageError
from tests.ports import free_ports
from tests.remote.engines import SERVERS_VENV, Login, s3_engine

pytestmark = [
    pytest.mark.remote,
    pytest.mark.skipif(
        not (SERVERS_VENV / "bin" / "weed").exists(),
        reason="SeaweedFS is not installed: tests/remote/install.sh",
    ),
]

LOGIN = Login("reader", secrets.token_urlsafe())
TABLE = "Message,Topic\nIt fails,bug\nI love it,praise\n"


@pytest.fixture(scope="module")
def endpoint(directory: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    own = directory / "source"  # the engines of the other tests have an S3 store too
    own.mkdir()
    server = s3_engine(own, port, LOGIN, ("shop",))
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        shutil.rmtree(server.directory, ignore_errors=True)


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of an empty bucket; the pipeline gets the same login from the environment."""
    import s3fs

    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", LOGIN.user),
        ("AWS_SECRET_ACCESS_KEY", LOGIN.password),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    yield client
    s3fs.S3FileSystem.clear_instance_cache()
    for found in client.list_objects_v2(Bucket="shop").get("Contents", []):
        client.delete_object(Bucket="shop", Key=found["Key"])


def settings_of(source: str) -> DataSettings:
    return DataSettings.model_validate(
        {"source": source, "columns": {"text": "Message", "label": "Topic"}, "labels": ["bug", "praise"]}
    )


def texts(source: str, category: str) -> list[str]:
    records = (
        one for chunk in open_source(settings_of(source)).read(category, 1).chunks for one in chunk.rows
    )
    return [record.text for record in records if isinstance(record, ReviewRecord)]


def test_a_prefix_has_a_category_per_object_packed_or_not(s3: Any) -> None:
    s3.put_object(Bucket="shop", Key="tickets/May.csv", Body=TABLE.encode())
    s3.put_object(Bucket="shop", Key="tickets/June.csv.gz", Body=gzip.compress(TABLE.encode()))
    assert open_source(settings_of("s3://shop/tickets")).categories() == ("June", "May")
    assert (
        texts("s3://shop/tickets", "June") == texts("s3://shop/tickets", "May") == ["It fails", "I love it"]
    )
    assert open_source(settings_of("s3://shop/tickets/M*")).categories() == ("May",)


def test_a_changed_object_is_copied_again(s3: Any) -> None:
    import s3fs

    s3.put_object(Bucket="shop", Key="tickets.csv", Body=TABLE.encode())
    assert texts("s3://shop/tickets.csv", "tickets")[-1] == "I love it"
    s3.put_object(Bucket="shop", Key="tickets.csv", Body=f"{TABLE}More,bug\n".encode())
    s3fs.S3FileSystem.clear_instance_cache()  # another run is another process
    assert texts("s3://shop/tickets.csv", "tickets")[-1] == "More"


def test_what_is_missing_is_named(s3: Any) -> None:
    with pytest.raises(UsageError, match="there is no table at s3://shop/years"):
        open_source(settings_of("s3://shop/years")).categories()


def test_a_wrong_secret_is_an_error_without_the_secret(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="shop", Key="tickets.csv", Body=TABLE.encode())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    with pytest.raises((DataError, UsageError)) as error:
        texts("s3://shop/tickets.csv", "tickets")
    assert "s3://shop/tickets.csv" in str(error.value)
    assert "a-wrong-secret" not in str(error.value)
