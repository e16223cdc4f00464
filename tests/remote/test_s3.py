"""Tables to train on and files to score in a real S3 store, which checks signatures."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from review_sentiment.config import DataSettings
from review_sentiment.data.records import ReviewRecord
from review_sentiment.data.sources.catalogue import open_source
from review_sentiment.errors import DataError, UsageError
from tests.front_door import ROOT
from tests.ray import driver as driving
from tests.ray.driver import job_of, score_here
from tests.remote.bed import TestBed

pytestmark = pytest.mark.remote

TABLE = "Message,Topic\nIt fails,bug\nI love it,praise\n"
BUCKET, PREFIX = "artifacts", "tables"
PLACE = f"s3://{BUCKET}/{PREFIX}"


@pytest.fixture
def s3(bed: TestBed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of the store without tables; the pipeline gets its login from the environment."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", bed.environment["S3_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, bed.environment[name])
    yield bed.s3
    s3fs.S3FileSystem.clear_instance_cache()
    for found in bed.s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", []):
        bed.s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def put(s3: Any, name: str, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=content)


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
    put(s3, "tickets/May.csv", TABLE.encode())
    put(s3, "tickets/June.csv.gz", gzip.compress(TABLE.encode()))
    assert open_source(settings_of(f"{PLACE}/tickets")).categories() == ("June", "May")
    assert texts(f"{PLACE}/tickets", "June") == texts(f"{PLACE}/tickets", "May") == ["It fails", "I love it"]
    assert open_source(settings_of(f"{PLACE}/tickets/M*")).categories() == ("May",)


def test_a_changed_object_is_copied_again(s3: Any) -> None:
    import s3fs

    put(s3, "tickets.csv", TABLE.encode())
    assert texts(f"{PLACE}/tickets.csv", "tickets")[-1] == "I love it"
    put(s3, "tickets.csv", f"{TABLE}More,bug\n".encode())
    s3fs.S3FileSystem.clear_instance_cache()  # another run is another process
    assert texts(f"{PLACE}/tickets.csv", "tickets")[-1] == "More"


def test_what_is_missing_is_named(s3: Any) -> None:
    with pytest.raises(UsageError, match=f"there is no table at {PLACE}/years"):
        open_source(settings_of(f"{PLACE}/years")).categories()


def test_a_wrong_secret_is_an_error_without_the_secret(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "tickets.csv", TABLE.encode())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret")
    with pytest.raises((DataError, UsageError)) as error:
        texts(f"{PLACE}/tickets.csv", "tickets")
    assert f"{PLACE}/tickets.csv" in str(error.value)
    assert "a-wrong-secret" not in str(error.value)


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra: pip install '.[ray]'")
def test_ray_scores_the_objects_below_a_prefix(s3: Any, tmp_path: Path) -> None:
    rows = [f'{{"id": {number}, "text": "{"soft " * (number % 131 + 1)}"}}\n' for number in range(300)]
    put(s3, "reviews/May.jsonl", "".join(rows[::2]).encode())
    put(s3, "reviews/years/June.jsonl.gz", gzip.compress("".join(rows[1::2]).encode()))
    output = tmp_path / "out"
    command = [sys.executable, driving.__file__, f"{PLACE}/reviews", output, "", "40", "0"]
    found = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
    )
    assert found.stdout.splitlines()[-1] == f"300 rows of {PLACE}/reviews"
    for name, half in (("May.jsonl", rows[::2]), ("years/June.jsonl", rows[1::2])):
        local, expected = tmp_path / "local.jsonl", tmp_path / "expected.jsonl"
        local.write_text("".join(half), encoding="utf-8")
        score_here(job_of(local, expected, 40))
        assert (output / name).read_bytes() == expected.read_bytes()
