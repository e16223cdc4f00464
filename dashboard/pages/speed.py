"""The page that compares the processor with the GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import marimo as mo

from dashboard.queries.device_speed import (
    OVERRIDES,
    STEPS,
    Speed,
    estimated_speeds,
    measure_in_subprocess,
    saved_speed,
)
from dashboard.queries.machine import Machine, has_gpu
from dashboard.widgets.layout import Shown, column, notice, said, table
from review_sentiment.errors import ReviewSentimentError

Pressed = Callable[[str], None]


def speed_view(machine: Machine, last: str, pressed: Pressed) -> Shown:
    """Show what was measured here, and estimates where there is no GPU; `last` is what a press led to."""
    devices = ["cpu", "cuda"] if has_gpu(machine) else ["cpu"]

    def measure(_: object) -> None:
        pressed(f"{time.time()} {_measure(devices)}")

    button = mo.ui.button(label=f"Measure {' and '.join(devices)} (a minute each)", on_click=measure)
    speeds = [speed for device in devices if (speed := saved_speed(device))]
    outcome = last.partition(" ")[2]
    parts = [
        said(
            f"{STEPS} optimiser steps of the embedded model on embedded reviews; each device in a process "
            "of its own."
        ),
        button,
        said(outcome) if outcome else None,
        measured_table(speeds) if speeds else notice("Nothing measured yet", "Press the button.", "info"),
        None if has_gpu(machine) else estimates_view(),
        said(f"Settings: {', '.join(OVERRIDES)}", small=True),
    ]
    return Shown(column(parts), (button,))


def measured_table(speeds: list[Speed]) -> mo.Html:
    """Show measured speeds, and the ratio where there are two."""
    rows = [
        (
            speed.device,
            speed.precision,
            f"{speed.tokens_per_second:,.0f} ({speed.low:,.0f}-{speed.high:,.0f})",
            speed.steps,
        )
        for speed in speeds
    ]
    shown = table(("device", "precision", "tokens a second, measured", "steps"), rows)
    if len(speeds) < 2:  # noqa: PLR2004 - there is nothing to compare with
        return shown
    ratio = speeds[1].tokens_per_second / speeds[0].tokens_per_second
    return column([shown, said(f"The GPU trains {ratio:.1f} times as fast as the processor.")])


def estimates_view() -> mo.Html:
    """Show what common GPUs would reach, said to be an estimate."""
    from review_sentiment.resources.throughput import GPU_UTILISATION

    rows = [(name, precision, f"{tokens:,.0f}") for name, precision, tokens in estimated_speeds()]
    return column(
        [
            notice(
                "There is no GPU here: these are estimates",
                f"They assume {GPU_UTILISATION:.0%} of the vendor's peak, and a model so small keeps a GPU "
                "far less busy: take them as an upper end.",
                "warn",
            ),
            table(("GPU", "precision", "tokens a second, estimated"), rows),
        ]
    )


def _measure(devices: list[str]) -> str:
    try:
        with mo.status.spinner(title="Measuring"):
            for device in devices:
                measure_in_subprocess(device)
    except ReviewSentimentError as error:
        return str(error)
    return "Measured."
