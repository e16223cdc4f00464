"""Share the cores with other processes: threads that wait for each other sleep while a core is contended.

A parallel operation ends at a barrier. GNU's OpenMP, which PyTorch uses on Linux, lets threads that wait
spin for about 3 ms before they sleep. If every thread has a core, that is fastest: always sleeping costs 12 %
of the throughput of scoring and 15 % of training. Beside another such process, a thread that spins takes the
core from the thread that it waits for: both processes become 3.9 (scoring) and 4.9 times (training) slower.

The wait policy is fixed when OpenMP is loaded (OMP_WAIT_POLICY, GOMP_SPINCOUNT), but neighbours come and go.
One rule of libgomp ("GOMP_SPINCOUNT" in its manual) changes it at run time: if a process has more OpenMP
threads than cores, they sleep after 100 spins. So while a core is contended, idle teams of threads are kept.
With that, two processes are 1.8 times slower beside each other, and as fast as before alone. Results stay the
same bit for bit, which they would not with another number of threads (`benchmarks/contention.py`, two cores).
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

SECONDS = 0.5
"""Between two looks at how long each thread waited for a core."""
CONTENDED = 0.1
"""Fraction of the time that a thread was ready and had no core. Alone: 0.03 at most; beside another training:
0.6 to 0.9."""
LOOKS_UNTIL_FREE = 6
"""Looks without contention after which threads spin again."""
CHOSEN_BY_THE_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
TASKS = Path("/proc/self/task")


def share_cores_during(life: object) -> None:
    """Watch the cores in a background thread until an object is deleted.

    Nothing is watched if the user has chosen a wait policy, for a single thread, or if the system does not
    count waiting times (it is not Linux).
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1 or any(name in os.environ for name in CHOSEN_BY_THE_USER) or not _waited():
        return
    # One team of `threads` is at work, and each further one adds all but the thread that asks for it.
    teams = (len(os.sched_getaffinity(0)) - 1) // (threads - 1)
    done = threading.Event()
    weakref.finalize(life, done.set)
    threading.Thread(target=_watch, args=(done, teams), name="shared-cores", daemon=True).start()


def _watch(done: threading.Event, teams: int) -> None:
    """Keep idle teams while a core is contended, until `done` is set."""
    before, calm, said = _waited(), 0, False
    release: threading.Event | None = None
    while not done.wait(SECONDS):
        now = _waited()
        # The thread that waited longest counts: all others wait for it at the next barrier.
        longest = max((waited - before.get(task, waited) for task, waited in now.items()), default=0)
        contention, before = longest / 1e9 / SECONDS, now
        calm = 0 if contention > CONTENDED else calm + 1
        if release is None and not calm:
            release = threading.Event()
            for _ in range(teams):
                threading.Thread(target=_idle_team, args=(release,), daemon=True).start()
            logger.log(
                logging.DEBUG if said else logging.INFO,  # a neighbour may come and go every few seconds
                "Other processes use these cores: a thread was ready but had no core %.0f %% of the time. "
                "Until they stop, threads sleep instead of spinning while they wait for each other",
                100 * contention,
            )
            said = True
        elif release is not None and calm == LOOKS_UNTIL_FREE:
            release.set()
            release = None
            logger.debug("The cores are free again: threads spin while they wait for each other")
    if release is not None:
        release.set()


def _idle_team(release: threading.Event) -> None:
    """Start a team of OpenMP threads from this thread; they sleep until it ends."""
    import torch

    torch.ones(1 << 16).add_(1)  # PyTorch shares out 32,768 elements and more
    release.wait()


def _waited() -> Mapping[str, int]:
    """Return the nanoseconds that each thread of this process was ready to run and had no core."""
    found = {}
    for task in TASKS.glob("*"):
        with suppress(OSError):  # the thread has ended
            found[task.name] = int((task / "schedstat").read_text(encoding="ascii").split()[1])
    return found
