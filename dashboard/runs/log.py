"""The end of a run's log: of the file on this machine, or where else it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

TAIL_BYTES = 64_000
LINES = 200


@dataclass(frozen=True)
class Log:
    """Where a log is, and its last lines if this machine can read it."""

    place: str
    text: str | None


def log_of(file: str, others: Sequence[str]) -> Log | None:
    """Return a run's log: the first that can be read, or else where the first is; None if none is known."""
    places = [place for place in (file, *others) if place]
    for place in places:
        if Path(place).is_file():
            return Log(place, tail(Path(place)))
    return Log(places[0], None) if places else None


def tail(file: Path) -> str:
    """Return the last lines of a file without colours; of one that was overwritten, what was last seen."""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL_BYTES))
        text = click.unstyle(opened.read().decode("utf-8", "replace"))
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(lines[-LINES:]).strip("\n")
