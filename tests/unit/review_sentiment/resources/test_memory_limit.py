"""The memory limit is the tightest of the machine, the process's own control group and those above it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from review_sentiment.resources.memory_limit import tightest_limit

ROOT = Path(__file__).resolve().parents[4]
MB = 10**6
UNLIMITED = 9223372036854771712
"""What version 1 says without a limit."""
V1 = "36 32 0:31 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
V2 = "42 32 0:38 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"


def tree(root: Path, own: str, mounts: str, groups: Mapping[str, Mapping[str, object]]) -> Path:
    """Write /proc/self and the files of control groups below `root`."""
    files: dict[str, object] = {"proc/self/cgroup": own, "proc/self/mountinfo": mounts}
    for group, values in groups.items():
        files |= {f"sys/fs/cgroup/{group}/{name}": value for name, value in values.items()}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}")
    return root


def v1(limit: int, used: int, cache: int = 0) -> dict[str, object]:
    return {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": used,
        "memory.stat": f"inactive_file 1\ntotal_inactive_file {cache}\n",
    }


def v2(limit: int | str, used: int, cache: int = 0, high: int | str = "max") -> dict[str, object]:
    return {
        "memory.max": limit,
        "memory.high": high,
        "memory.current": used,
        "memory.stat": f"anon 5\ninactive_file {cache}\n",
    }


@pytest.mark.parametrize(
    ("own", "mounts", "groups", "free"),
    [
        pytest.param("0::/", V2.format(root="/"), {".": v2(500 * MB, 100 * MB)}, 400, id="v2 namespace"),
        pytest.param(
            "0::/user.slice/job 1",
            V2.format(root="/"),
            {
                "user.slice": v2(800 * MB, 700 * MB, cache=50 * MB),
                "user.slice/job 1": v2(600 * MB, 100 * MB),
            },
            150,
            id="v2 parent is tighter",
        ),
        pytest.param(
            "0::/a/b",
            V2.format(root="/"),
            {"a": v2("max", 900 * MB), "a/b": v2("max", MB, high=300 * MB)},
            299,
            id="v2 high",
        ),
        pytest.param(
            "0::/../other",
            V2.format(root="/../.."),
            {".": v2(50 * MB, MB)},
            49,
            id="v2 outside its namespace",
        ),
        pytest.param(
            "9:name=systemd:/x\n4:memory,hugetlb:/slurm/uid_1/job_2\n0::/",
            f"{V1.format(root='/')}\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            {
                "memory": v1(UNLIMITED, 900 * MB),
                "memory/slurm/uid_1": v1(UNLIMITED, 0),
                "memory/slurm/uid_1/job_2": v1(300 * MB, 250 * MB, cache=200 * MB),
                "unified": {"cgroup.procs": "1"},
            },
            250,
            id="v1 nested, hybrid",
        ),
        pytest.param(
            "4:memory:/docker/abc/inner",
            V1.format(root="/docker/abc"),
            {"memory": v1(200 * MB, 150 * MB), "memory/inner": v1(UNLIMITED, 1)},
            50,
            id="v1 subtree of the container",
        ),
        pytest.param(
            "4:memory:/docker/abc",
            V1.format(root="/docker\\040abc"),
            {"memory": v1(200 * MB, 190 * MB)},
            10,
            id="v1 path of the host",
        ),
    ],
)
def test_the_tightest_group_counts(
    tmp_path: Path, own: str, mounts: str, groups: dict[str, dict[str, object]], free: int
) -> None:
    limit = tightest_limit(tree(tmp_path, own, mounts, groups))
    assert limit.free == free * MB
    assert "control group" in limit.name


@pytest.mark.parametrize(
    ("own", "mounts", "groups"),
    [
        ("0::/", V2.format(root="/"), {".": {"cgroup.procs": "1"}}),
        ("4:memory:/", V1.format(root="/"), {"memory": v1(UNLIMITED, MB)}),
        ("0::/x", V2.format(root="/"), {"x": v2("max", MB)}),
        ("", "", {}),
    ],
)
def test_without_a_limit_the_machine_counts(
    tmp_path: Path, own: str, mounts: str, groups: dict[str, dict[str, object]]
) -> None:
    assert tightest_limit(tree(tmp_path, own, mounts, groups)).name == "this machine"


def limit_in(group: Path) -> str:
    """Return name and size of the limit that a process in a group finds."""
    script = (
        "from review_sentiment.resources.memory_limit import tightest_limit\n"
        "limit = tightest_limit(); print(limit.name, limit.total, limit.free < limit.total)"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())) and None,
    ).stdout


@pytest.mark.parametrize(
    ("hierarchy", "name"),
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")],
)
def test_a_process_finds_the_limit_of_a_real_group(hierarchy: str, name: str) -> None:
    group, limit = Path(hierarchy) / f"review-sentiment-test-{os.getpid()}", 512 * 2**20
    if not (Path(hierarchy) / "cgroup.procs").is_file() or not os.access(hierarchy, os.W_OK):
        pytest.skip(f"no control groups can be made in {hierarchy}")
    (group / "inner").mkdir(parents=True)
    try:
        if not (group / name).is_file():
            pytest.skip(f"{hierarchy} does not control memory")
        (group / name).write_text(str(limit))
        assert limit_in(group / "inner") == f"the control group {group} {limit} True\n"
    finally:
        (group / "inner").rmdir()
        group.rmdir()


def test_a_limit_of_the_address_space_counts() -> None:
    script = (
        "from review_sentiment.resources.memory_limit import tightest_limit\n"
        "limit = tightest_limit(); print(limit.name, 0 < limit.free < limit.total)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
    )
    assert found.stdout == "ulimit -v True\n"
