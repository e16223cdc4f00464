"""No password is in the image, in a log, in an artifact or in MLflow's database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.front_door import Project
from tests.remote.bed import BUCKETS, TestBed

# The first test also builds the image, and starts the services.
pytestmark = [pytest.mark.remote, pytest.mark.timeout(1800)]

BLOCK = 1 << 22


def names_found(bed: TestBed, blocks: Iterable[bytes]) -> set[str]:
    """Return which secrets are in the blocks of a stream, also across the border of two."""
    words = {name: word.encode() for name, word in bed.passwords.items()}
    longest = max(map(len, words.values()))
    found: set[str] = set()
    tail = b""
    for block in blocks:
        seen = tail + block
        found |= {name for name, word in words.items() if word in seen}
        tail = seen[-longest:]
    return found


def output_of(command: Sequence[str], **variables: str) -> Iterator[bytes]:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **variables}
    ) as process:
        assert process.stdout is not None
        while block := process.stdout.read(BLOCK):
            yield block
    assert process.returncode == 0, command


def docker_output(bed: TestBed, *arguments: str) -> Iterator[bytes]:
    return output_of(["docker", "--host", bed.environment["DOCKER_HOST"], *arguments])


def test_the_search_finds_a_password(bed: TestBed) -> None:
    word = bed.passwords["s3"].encode()
    assert names_found(bed, [b"x" + word[:7], word[7:] + b"x"]) == {"s3"}


def test_the_image_has_none(bed: TestBed, first_run: dict[str, Any]) -> None:
    images = bed.pushed_images()
    assert images
    for image in images:
        assert names_found(bed, docker_output(bed, "save", image)) == set()
        assert names_found(bed, docker_output(bed, "history", "--no-trunc", image)) == set()
        assert "runner" in bed.docker("inspect", "--format", "{{.Config.User}}", image)


def test_logs_have_none(bed: TestBed, project: Project, first_run: dict[str, Any]) -> None:
    logs = sorted((Path(bed.environment["XDG_CACHE_HOME"]) / "review-sentiment" / "logs").glob("*.log"))
    assert logs
    assert names_found(bed, (log.read_bytes() for log in logs)) == set()


def test_no_container_is_left_whose_environment_has_them(bed: TestBed, first_run: dict[str, Any]) -> None:
    assert bed.step_containers() == []


def test_artifacts_have_none(bed: TestBed, first_run: dict[str, Any]) -> None:
    store = bed.s3
    for bucket in BUCKETS:
        keys = [entry["Key"] for entry in store.list_objects_v2(Bucket=bucket).get("Contents", [])]
        assert len(keys) > 1
        contents = (store.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
        assert names_found(bed, contents) == set()


def test_mlflows_database_has_none(bed: TestBed, first_run: dict[str, Any]) -> None:
    server = bed.servers["postgres"]
    port = server.command[server.command.index("-p") + 1]
    dump = ["pg_dump", "-h", "127.0.0.1", "-p", port, "-U", "postgres-user", "postgres"]
    assert names_found(bed, output_of(dump, PGPASSWORD=bed.passwords["postgres"])) == set()
