"""Threads stop spinning while a core is contended, and spin again when it is free."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
SCRIPT = """
import sys, time
from pathlib import Path
import torch
from review_sentiment.models import shared_cores

class Life:
    pass

waited = Path(sys.argv[1]) / "7" / "schedstat"
waited.parent.mkdir()
nanoseconds = 0

def wait_for_a_core():
    global nanoseconds
    nanoseconds += 10**8
    waited.with_name("new").write_text(f"0 {nanoseconds} 0")
    waited.with_name("new").replace(waited)

def spins(contended):
    # With pauses of 2 ms, the threads that spin for 3 ms never sleep: the pauses cost their processor time.
    before = time.process_time()
    for _ in range(60):
        if contended:  # at every pause: on a busy machine, the watch calms down before the last one
            wait_for_a_core()
        x.add_(1)
        time.sleep(0.002)
    return (time.process_time() - before) / 60 > 0.0005

def until(spinning, contended):
    deadline = time.monotonic() + 20
    while spins(contended) is not spinning:
        assert time.monotonic() < deadline, f"threads still spin: {not spinning}"

x = torch.ones(1 << 16)
wait_for_a_core()
shared_cores.TASKS, shared_cores.SECONDS = waited.parent.parent, 0.05
life = Life()
shared_cores.share_cores_during(life)
until(spinning=True, contended=False)
until(spinning=False, contended=True)
until(spinning=True, contended=False)
until(spinning=False, contended=True)
del life
until(spinning=True, contended=False)
print("as expected")
"""


@pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="libgomp spins on two cores or more"
)
def test_threads_sleep_while_a_core_is_contended_and_spin_otherwise(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.stdout == "as expected\n", finished.stderr
