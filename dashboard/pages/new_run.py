"""New run: settings in groups, what they need of this machine, and the button that starts the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse
from starlette.routing import Route

from dashboard.queries.machine import has_gpu, read_machine
from dashboard.queries.memory import Fit, memory_fit
from dashboard.rendering import render
from dashboard.runs import process as run_process
from dashboard.settings_form import (
    KEYS,
    STACKS,
    Form,
    as_text,
    as_yaml,
    base_settings,
    command_line,
    config_names,
    fields,
    from_address,
    needs_gpu,
    options_of,
    read_form,
)
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import flat

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, Response

REFUSED = 422
PRESETS = {
    "local": "Default: embedded reviews and model, on the processor",
    "smoke": "Smoke test: every step on a few reviews, in minutes",
    "twenty_classes": "Twenty classes instead of positive and negative",
    "gpu": "A larger model on a GPU",
    "colab": "A larger model on a Colab GPU",
}
"""What the files in configs/ are for; another file is shown by its name."""


def new_run(request: Request) -> HTMLResponse:
    """Show the form with the settings of the address."""
    return _page(request, dict(request.query_params))


async def start(request: Request) -> Response:
    """Start a run with the settings of a sent form, or show what is wrong with them."""
    sent = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    return await run_in_threadpool(_start, request, sent)


def _start(request: Request, sent: Mapping[str, str]) -> Response:
    form = read_form(*from_address(sent))
    if form.settings is None or _obstacle(form):
        return _page(request, sent, status=REFUSED)
    try:
        record = run_process.start(form.settings, options_of(form, Path.cwd()), command_line(form))
    except UsageError as error:
        return _page(request, sent, str(error), REFUSED)
    return RedirectResponse(f"/runs/{record.name}", 303)


def _page(request: Request, typed: Mapping[str, str], problem: str = "", status: int = 200) -> HTMLResponse:
    config, stack, settings, more = from_address(typed)
    form = read_form(config, stack, settings, more)
    base = {key: as_text(value) for key, value in flat(base_settings(config)).items()}
    lines = [
        f"{key}={text}" for key, text in settings.items() if key not in KEYS and text.strip() != base[key]
    ]
    return render(
        request,
        "new_run.html",
        status,
        form=form,
        groups=fields(),
        base=base,
        typed=base | settings,
        more="\n".join(filter(None, [*lines, more.strip()])),
        presets={name: PRESETS.get(name, f"configs/{name}.yaml") for name in config_names()},
        stacks=STACKS,
        fit=_fit(request, form),
        command=command_line(form),
        file=as_yaml(form.settings) if form.settings else "",
        other_problems={key: text for key, text in form.problems.items() if key not in KEYS},
        obstacle=problem or _obstacle(form),
    )


def _fit(request: Request, form: Form) -> Fit | None:
    """Return the need of memory and time; None while it is being computed.

    That needs torch, and the configuration of a model of the Hub may have to be downloaded.
    """
    if form.settings is None:
        return Fit()
    key = ("memory", form.settings.model_dump_json())
    job = request.app.state.jobs.ask("computations", key, memory_fit, form.settings)
    return Fit(problem=job.problem) if job.problem else job.result


def _obstacle(form: Form) -> str:
    """Return why a run cannot be started at present, apart from its settings, or an empty text."""
    if other := run_process.active_run():
        return f"The run {other.name} is in progress. Only one run at a time can be started here."
    if needs_gpu(form) and not has_gpu(read_machine()):
        return (
            "These settings need a GPU, and no usable GPU was found: see System. "
            "Choose the device auto or cpu and the stack local."
        )
    return ""


routes = [
    Route("/runs/new", new_run, methods=["GET"]),
    Route("/runs/new", start, methods=["POST"]),
]
