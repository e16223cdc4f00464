"""The steps of a run as a graph: layers from left to right, each step after those that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.rendering import clock

if TYPE_CHECKING:
    from dashboard.runs.progress import StepState

WIDTH, HEIGHT = 176, 44
"""Of a step's box, in pixels."""
COLUMN, ROW, MARGIN = WIDTH + 44, HEIGHT + 12, 4
MARKS = {"running": "▶", "cached": "↺", "completed": "✓", "failed": "✗", "interrupted": "■"}
WORDS = {"completed": "done", "cached": "from the cache", "waiting": "waiting"}
TIMED = {"completed", "failed", "interrupted"}


@dataclass(frozen=True)
class Box:
    """A step at a place in the graph; `upstream` are the steps that an edge leads from."""

    step: StepState
    x: int
    y: int
    upstream: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The boxes and edges (as paths of SVG), and the size in pixels."""

    boxes: Sequence[Box]
    edges: Sequence[str]
    width: int
    height: int


def draw_steps(steps: Mapping[str, StepState], upstream: Mapping[str, Sequence[str]]) -> Graph:
    """Return the graph of steps, given which steps each needs."""
    needs = {name: [other for other in upstream.get(name, ()) if other in steps] for name in steps}
    layers: dict[str, int] = {}

    def layer(name: str) -> int:
        if name not in layers:
            layers[name] = 1 + max(map(layer, needs[name]), default=-1)
        return layers[name]

    columns: dict[int, list[str]] = {}
    for name in steps:
        columns.setdefault(layer(name), []).append(name)
    most = max(map(len, columns.values()), default=1)
    boxes = {}
    for column, names in columns.items():
        top = MARGIN + (most - len(names)) * ROW // 2
        for row, name in enumerate(names):
            place = MARGIN + column * COLUMN, top + row * ROW
            boxes[name] = Box(steps[name], *place, _direct(name, needs))
    edges = [_edge(boxes[other], box) for box in boxes.values() for other in box.upstream]
    width, height = len(columns) * COLUMN - COLUMN + WIDTH + 2 * MARGIN, most * ROW + 2 * MARGIN
    return Graph(list(boxes.values()), edges, width, height)


def step_text(step: StepState, now: float) -> str:
    """Return a step's status and time."""
    seconds = now - step.since if step.status == "running" and step.since else step.seconds
    timed = f" {clock(seconds)}" if step.status in TIMED | {"running"} and seconds else ""
    return f"{WORDS.get(step.status, step.status)}{timed}"


def _direct(name: str, needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return what a step needs, without what it gets through another of them: fewer edges cross."""
    return tuple(
        other
        for other in needs[name]
        if not any(other in _all_needed(between, needs) for between in needs[name] if between != other)
    )


def _all_needed(name: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    for other in needs[name]:
        found |= {other} | _all_needed(other, needs)
    return found


def _edge(start: Box, end: Box) -> str:
    x, y, to_x, to_y = start.x + WIDTH, start.y + HEIGHT // 2, end.x, end.y + HEIGHT // 2
    bend = (to_x - x) // 2
    return f"M{x},{y} C{x + bend},{y} {to_x - bend},{to_y} {to_x},{to_y}"
