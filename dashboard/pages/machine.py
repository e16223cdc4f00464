"""The page of this machine: what it has at the moment, and what was looked at where there is no GPU."""

from __future__ import annotations

import html

import marimo as mo

from dashboard.queries.machine import Gpu, Machine, has_gpu
from dashboard.widgets.layout import bar, card, grid, table

GIGABYTE = 1e9


def machine_page(machine: Machine) -> mo.Html:
    """Show the machine."""
    parts = [
        grid(
            [
                card("Processor", f"{machine.cpu_load:.0%} busy", f"{machine.cores} cores"),
                card(
                    "Memory",
                    f"{machine.memory_free / GIGABYTE:.1f} GB free",
                    f"of {machine.memory / GIGABYTE:.1f} GB",
                ),
                card("Disk", f"{machine.disk_free / GIGABYTE:.1f} GB free", machine.disk_place),
            ],
            least_rem=14,
        )
    ]
    parts += [_gpu(gpu) for gpu in machine.gpus]
    if not has_gpu(machine):
        parts.append(no_gpu(machine))
    return mo.vstack(parts)


def no_gpu(machine: Machine) -> mo.Html:
    """Say what was looked at in search of a GPU, what was found, and what to try."""
    rows = [
        (f"{check.name}: {'ok' if check.ok else 'missing'}", f"{check.found}. {check.advice}".strip())
        for check in machine.checks
    ]
    text = (
        "A configuration with <code>model.device=cuda</code> cannot be started here. The default "
        "configuration works meanwhile: it trains a small model on the processor."
    )
    return mo.callout(
        mo.Html(
            f"<b>No GPU that a training can use</b><p>{text}</p>"
            f"{table(('looked at', 'found, and what to try'), rows).text}"
        ),
        kind="warn",
    )


def _gpu(gpu: Gpu) -> mo.Html:
    known = gpu.memory is not None and gpu.used is not None
    memory = (
        f"{(gpu.used or 0) / GIGABYTE:.1f} of {(gpu.memory or 0) / GIGABYTE:.1f} GB"
        if known
        else "not reported"
    )
    busy = "not reported" if gpu.utilisation is None else f"{gpu.utilisation:.0%}"
    warmth = "not reported" if gpu.temperature is None else f"{gpu.temperature:.0f} °C"
    cards = [card("Memory in use", memory), card("Utilisation", busy), card("Temperature", warmth)]
    parts = [mo.Html(f"<h3>GPU {gpu.index}: {html.escape(gpu.name)}</h3>"), grid(cards, least_rem=14)]
    if known and gpu.memory:
        parts.append(bar((gpu.used or 0) / gpu.memory, f"memory of GPU {gpu.index}"))
    return mo.vstack(parts)
