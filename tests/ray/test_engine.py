"""`--engine ray`: the local engine's output, file by file, whatever is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pandas as pd
import pytest

from tests.ray import driver as driving
from tests.ray.driver import job_of, score_here
from tests.ray.nodes import RayNodes

pytest.importorskip("ray", reason="Ray is an extra: pip install '.[ray]'")
pytestmark = pytest.mark.ray

ROOT = Path(__file__).resolve().parents[2]
ROWS, CHUNK = 1_200, 10  # 240 chunks: three travel in a block
SECONDS = 480


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    with RayNodes(tmp_path_factory.mktemp("ray", numbered=False)) as nodes:
        yield nodes


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Return a directory of two files, each with a row that cannot be scored in its first chunk."""
    directory = tmp_path / "in"
    (directory / "more").mkdir(parents=True)
    frame = pd.DataFrame(
        {"id": range(ROWS), "text": ["soft " * (number % 131 + 1) for number in range(ROWS)]}
    )
    frame.loc[3, "text"] = "<br />"
    frame.to_json(directory / "a.jsonl.gz", orient="records", lines=True)
    frame[::-1].to_json(directory / "more/b.jsonl", orient="records", lines=True)
    return directory


def drive(reviews: Path, output: Path, cluster: RayNodes, seconds: float) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        driving.__file__,
        reviews,
        output,
        cluster.address,
        str(CHUNK),
        str(seconds),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | cluster.token
    return subprocess.Popen(command, cwd=output.parent, env=environment)


def wait_for_parts(output: Path, count: int) -> list[Path]:
    started = monotonic()
    while len(parts := list(output.parent.glob(f"{output.name}.parts/**/*.npy"))) < count:
        assert monotonic() - started < SECONDS, "nothing was scored"
        sleep(0.1)
    return parts


def require_local_output(reviews: Path, output: Path, scratch: Path) -> None:
    """Compare each file with what the local engine writes, byte by byte: no row is lost or there twice."""
    for name in ("a.jsonl.gz", "more/b.jsonl"):
        expected = scratch / "expected.jsonl"
        score_here(job_of(reviews / name, expected, CHUNK))
        written = output / name.removesuffix(".gz")
        assert written.read_bytes() == expected.read_bytes()
        assert Path(f"{written}.failed.jsonl").read_bytes() == Path(f"{expected}.failed.jsonl").read_bytes()
    assert sorted(path.name for path in output.rglob("*") if path.is_file()) == [
        *("a.jsonl", "a.jsonl.failed.jsonl", "b.jsonl", "b.jsonl.failed.jsonl")
    ]


def test_after_a_killed_driver_the_same_command_scores_only_the_rest(
    cluster: RayNodes, reviews: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    # Scores arrive in groups of 2 s, which a busy machine delays. The two workers have work for 36 s.
    first = drive(reviews, output, cluster, 0.3)
    scored = wait_for_parts(output, 5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    found = len(list(output.parent.glob("out.parts/**/*.npy")))
    assert found < 2 * ROWS / CHUNK, f"all {found} chunks were scored before the kill"
    before = {path: path.stat().st_mtime_ns for path in scored}
    assert drive(reviews, output, cluster, 0.0).wait(SECONDS) == 0
    assert {path: path.stat().st_mtime_ns for path in scored} == before
    require_local_output(reviews, output, tmp_path)


def test_a_killed_node_costs_no_row(cluster: RayNodes, reviews: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    driver = drive(reviews, output, cluster, 0.1)
    wait_for_parts(output, 5)
    cluster.kill_worker(0)
    assert driver.wait(SECONDS) == 0
    require_local_output(reviews, output, tmp_path)
