"""What a run's processes use of this machine."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping

GIGABYTE = 1e9


def resources_of(process: psutil.Process | None) -> Mapping[str, str]:
    """Return the memory and the cores that a process and its children use; nothing if it has ended."""
    if process is None:
        return {}
    with suppress(psutil.Error):
        family = [process, *process.children(recursive=True)]
        memory = seconds = 0.0
        for each in family:
            with suppress(psutil.NoSuchProcess):
                memory += each.memory_info().rss
                times = each.cpu_times()
                seconds += times.user + times.system
        cores = seconds / max(1.0, time.time() - process.create_time())
        return {
            "Memory": f"{memory / GIGABYTE:.1f} of {psutil.virtual_memory().total / GIGABYTE:.0f} GB",
            "Processor": f"{cores:.1f} of {psutil.cpu_count()} cores on average",
            "Processes": f"{len(family)}, the first with id {process.pid}",
        }
    return {}
