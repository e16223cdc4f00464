"""Machine: the load of this machine and, if no GPU can be used, why not."""

from __future__ import annotations

import html

import marimo as mo

from dashboard.queries.machine import Gpu, Machine, has_gpu
from dashboard.widgets.layout import bar, card, column, grid, notice, table

GIGABYTE = 1e9
CARD_REM = 14
NOT_REPORTED = "not reported"


def machine_page(machine: Machine) -> mo.Html:
    """Show the machine at the moment."""
    memory, total = machine.memory_free / GIGABYTE, machine.memory / GIGABYTE
    cards = [
        card("Processor", f"{machine.cpu_load:.0%} busy", f"{machine.cores} cores"),
        card("Memory", f"{memory:.1f} GB free", f"of {total:.1f} GB"),
        card("Disk", f"{machine.disk_free / GIGABYTE:.1f} GB free", machine.disk_place),
    ]
    gpus = [_gpu(gpu) for gpu in machine.gpus]
    return column([grid(cards, CARD_REM), *gpus, None if has_gpu(machine) else no_gpu(machine)])


def no_gpu(machine: Machine) -> mo.Html:
    """Show why no GPU can be used, and what to do about it."""
    rows = [
        (f"{check.name}: {'ok' if check.ok else 'failed'}", f"{check.found}. {check.advice}".strip())
        for check in machine.checks
    ]
    return notice(
        "No usable GPU",
        "Configurations with model.device=cuda cannot be started here. The default configuration still "
        "works: it trains a small model on the CPU.",
        "warn",
        below=table(("Check", "Result and fix"), rows),
    )


def _gpu(gpu: Gpu) -> mo.Html:
    memory, fraction = NOT_REPORTED, None
    if gpu.memory and gpu.used is not None:
        memory = f"{gpu.used / GIGABYTE:.1f} of {gpu.memory / GIGABYTE:.1f} GB"
        fraction = gpu.used / gpu.memory
    cards = [
        card("Memory in use", memory),
        card("Utilisation", NOT_REPORTED if gpu.utilisation is None else f"{gpu.utilisation:.0%}"),
        card("Temperature", NOT_REPORTED if gpu.temperature is None else f"{gpu.temperature:.0f} °C"),
    ]
    heading = mo.Html(f"<h3>GPU {gpu.index}: {html.escape(gpu.name)}</h3>")
    usage = None if fraction is None else bar(fraction, f"Memory of GPU {gpu.index}")
    return column([heading, grid(cards, CARD_REM), usage])
