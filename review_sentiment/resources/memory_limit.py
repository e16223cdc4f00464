"""How much memory this process may still take: of the machine, of its control groups, and by its own limit.

A container, a SLURM job or a systemd unit is a control group (cgroup). The kernel kills a process as soon as
its group, or any group above it, is at its limit, however much memory the machine has left.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Version:
    """The names that one version of control groups uses."""

    filesystem: str
    limits: tuple[str, ...]
    charged: str
    reclaimable: str


VERSIONS = (
    # Above memory.high, the kernel does not kill but slows the group down until it hardly runs.
    Version("cgroup2", ("memory.max", "memory.high"), "memory.current", "inactive_file"),
    Version("cgroup", ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
)
"""Without a limit, version 2 says "max", and version 1 a number of 8 EiB."""


@dataclass(frozen=True)
class MemoryLimit:
    """A limit, who sets it, and what it leaves free, in bytes."""

    name: str
    total: int
    free: int


def tightest_limit(root: Path = Path("/")) -> MemoryLimit:
    """Return the limit that leaves the least free; `root` is where /proc and /sys/fs/cgroup are."""
    memory = psutil.virtual_memory()
    limits = [MemoryLimit("this machine", memory.total, memory.available), *_of_groups(root)]
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if addresses != resource.RLIM_INFINITY:
        limits.append(MemoryLimit("ulimit -v", addresses, addresses - psutil.Process().memory_info().vms))
    return min(limits, key=lambda limit: limit.free)


def _of_groups(root: Path) -> Iterator[MemoryLimit]:
    for version, directory, mount in _own_groups(root):
        for group in (directory, *directory.parents):
            yield from _of_group(version, group)
            if group == mount:
                break


def _own_groups(root: Path) -> Iterator[tuple[Version, Path, Path]]:
    """Yield the directory of this process's group in each mounted hierarchy, and where it is mounted."""
    own = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", maxsplit=2)
        if not controllers or "memory" in controllers.split(","):
            own["cgroup" if controllers else "cgroup2"] = path
    for line in _lines(root / "proc/self/mountinfo"):
        mounted, _, filesystem = line.partition(" - ")
        kind, *_, options = filesystem.split(" ")
        for version in VERSIONS:
            if kind != version.filesystem or kind not in own:
                continue
            if kind == "cgroup" and "memory" not in options.split(","):
                continue
            subtree, point = (_unescaped(part) for part in mounted.split(" ")[3:5])
            mount = root / point.lstrip("/")
            # In a container, the group of the container is mounted, and the path may be that of the host.
            inside = Path("/") / own[kind]
            within = inside.relative_to(subtree) if inside.is_relative_to(subtree) else Path()
            directory = mount / within if ".." not in within.parts else mount
            yield version, directory if directory.is_dir() else mount, mount


def _of_group(version: Version, group: Path) -> Iterator[MemoryLimit]:
    """Yield the limits of a group; page cache that nobody uses counts as free, as the kernel reclaims it."""
    with suppress(OSError, ValueError):  # the root of a hierarchy has no limits
        charged = int((group / version.charged).read_text(encoding="ascii"))
        statistics = dict(line.split() for line in _lines(group / "memory.stat"))
        used = max(0, charged - int(statistics.get(version.reclaimable, 0)))
        for name in version.limits:
            limit = (group / name).read_text(encoding="ascii").strip()
            if limit != "max":
                yield MemoryLimit(f"the control group {group}", int(limit), int(limit) - used)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or hidden from a container
        return []


def _unescaped(path: str) -> str:
    """Return a path of mountinfo, in which spaces and the like are octal numbers."""
    for character in " \t\n\\":
        path = path.replace(f"\\{ord(character):03o}", character)
    return path
