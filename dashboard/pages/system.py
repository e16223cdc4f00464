"""System: the machine, how fast it trains, and the self-test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Route

from dashboard.queries import device_speed
from dashboard.queries.device_speed import OVERRIDES, STEPS, estimated_speeds, saved_speed
from dashboard.queries.machine import Machine, has_gpu, read_machine
from dashboard.queries.self_test import run_self_test
from dashboard.queries.versions import default_model
from dashboard.rendering import render
from review_sentiment.resources.throughput import GPU_UTILISATION

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from dashboard.jobs import Job

SELF_TEST = "self-test"


def system(request: Request) -> HTMLResponse:
    """Show the machine at the moment and the speeds that were measured."""
    machine = read_machine()
    devices = _devices(machine)
    jobs: dict[str, Job[device_speed.Speed]] = {}
    for device in devices:
        if job := request.app.state.jobs.find(("speed", device)):
            jobs[device] = job
    speeds = [speed for device in devices if (speed := saved_speed(device))]
    return render(
        request,
        "system.html",
        machine=machine,
        has_gpu=has_gpu(machine),
        devices=devices,
        jobs=jobs,
        measuring=any(job.in_progress for job in jobs.values()),
        progress=device_speed.progress,
        speeds=speeds,
        estimates=estimated_speeds(),
        utilisation=GPU_UTILISATION,
        steps=STEPS,
        overrides=OVERRIDES,
    )


def measure(request: Request) -> RedirectResponse:
    """Start to measure each device."""
    jobs = request.app.state.jobs
    for device in _devices(read_machine()):
        key = ("speed", device)
        if (job := jobs.find(key)) is None or not job.in_progress:
            jobs.forget(key)
            jobs.ask("measurements", key, device_speed.measure, device)
    return RedirectResponse("/system#speed", status_code=303)


def cancel(request: Request) -> RedirectResponse:
    """Stop measuring; earlier results stay."""
    request.app.state.jobs.cancel("measurements")
    return RedirectResponse("/system#speed", status_code=303)


def self_test(request: Request) -> HTMLResponse:
    """Show the results of the checks, which run if they have not been run yet."""
    job = request.app.state.jobs.ask("computations", SELF_TEST, run_self_test, default_model())
    return render(request, "self_test.html", job=job)


def repeat_self_test(request: Request) -> RedirectResponse:
    """Run the checks again."""
    request.app.state.jobs.forget(SELF_TEST)
    return RedirectResponse("/system/self-test", status_code=303)


def _devices(machine: Machine) -> list[str]:
    return ["cpu", "cuda"] if has_gpu(machine) else ["cpu"]


routes = [
    Route("/system", system),
    Route("/system/speed", measure, methods=["POST"]),
    Route("/system/speed/cancel", cancel, methods=["POST"]),
    Route("/system/self-test", self_test),
    Route("/system/self-test", repeat_self_test, methods=["POST"]),
]
