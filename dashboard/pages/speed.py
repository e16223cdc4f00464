"""CPU and GPU: how fast each of them trains."""

from __future__ import annotations

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
from dashboard.widgets.actions import Report, action_button, outcome_view
from dashboard.widgets.layout import Panel, column, notice, paragraph, table


def speed_view(machine: Machine, reported: str, report: Report) -> Panel:
    """Show the speeds measured on this machine and, if it has no GPU, estimates for common ones."""
    devices = ["cpu", "cuda"] if has_gpu(machine) else ["cpu"]

    def measure() -> str:
        with mo.status.spinner(title="Measuring"):
            for device in devices:
                measure_in_subprocess(device)
        return "Measured."

    button = action_button(f"Measure {' and '.join(devices)} (about a minute per device)", measure, report)
    speeds = [speed for device in devices if (speed := saved_speed(device))]
    parts = [
        paragraph(
            f"Trains the embedded model for {STEPS} optimizer steps on the embedded reviews. Each device is "
            "measured in its own process."
        ),
        button,
        outcome_view(reported),
        measured_table(speeds) if speeds else notice("Nothing measured yet", "Press the button.", "info"),
        None if has_gpu(machine) else estimates_view(),
        paragraph(f"Settings: {', '.join(OVERRIDES)}", small=True),
    ]
    return Panel(column(parts), (button,))


def measured_table(speeds: list[Speed]) -> mo.Html:
    """Show measured speeds and, if there are two, their ratio."""
    rows = [
        (
            speed.device,
            speed.precision,
            f"{speed.tokens_per_second:,.0f} ({speed.low:,.0f}-{speed.high:,.0f})",
            speed.steps,
        )
        for speed in speeds
    ]
    shown = table(("Device", "Precision", "Tokens per second, measured", "Steps"), rows)
    if len(speeds) == 1:
        return shown
    ratio = speeds[1].tokens_per_second / speeds[0].tokens_per_second
    return column([shown, paragraph(f"The GPU trains {ratio:.1f} times as fast as the CPU.")])


def estimates_view() -> mo.Html:
    """Show estimated speeds of common GPUs, marked as estimates."""
    from review_sentiment.resources.throughput import GPU_UTILISATION

    rows = [(name, precision, f"{tokens:,.0f}") for name, precision, tokens in estimated_speeds()]
    text = (
        f"They assume {GPU_UTILISATION:.0%} of the vendor's peak throughput. A model this small uses much "
        "less of a GPU, so read them as upper bounds."
    )
    return column(
        [
            notice("This machine has no usable GPU: these are estimates", text, "warn"),
            table(("GPU", "Precision", "Tokens per second, estimated"), rows),
        ]
    )
