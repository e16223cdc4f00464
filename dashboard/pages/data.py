"""Data: what a table of reviews contains, what is wrong with it, and how to train on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse
from starlette.routing import Route

from dashboard.explain.languages import language_name
from dashboard.queries.tables import default_reviews, inspect_reviews, keep_upload
from dashboard.rendering import render

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_MEGABYTES = 200
"""Of an upload: a larger table is better read from where it is."""
ROLES = ("text", "label", "title", "category")
"""Roles whose column can be chosen here."""


def data(request: Request, problem: str = "", status: int = 200) -> Response:
    """Show the forms and, if a source was named, what its table contains."""
    typed, ask = request.query_params, request.app.state.jobs.ask
    source = typed.get("source", "").strip()
    columns = {role: typed[role] for role in ROLES if typed.get(role)}
    inspected = None
    if source:
        key = ("table", source, *columns.items(), _state_of(source))
        inspected = ask("computations", key, inspect_reviews, source, columns)
    return render(
        request,
        "data.html",
        status,
        source=source,
        columns=columns,
        roles=ROLES,
        inspected=inspected,
        default=None if source else ask("computations", "default reviews", default_reviews),
        problem=problem,
        language_name=language_name,
        max_megabytes=MAX_MEGABYTES,
    )


async def upload(request: Request) -> Response:
    """Keep an uploaded file, and show it."""
    size = request.headers.get("content-length", "")
    if not size.isdecimal() or int(size) > MAX_MEGABYTES * 1_000_000:
        problem = (
            f"The file is larger than {MAX_MEGABYTES} MB. Put it on this machine, and type its path instead."
        )
        return await run_in_threadpool(data, request, problem, 413)
    async with request.form(max_files=1) as form:
        file = form.get("table")
        if not isinstance(file, UploadFile) or not file.filename:
            return await run_in_threadpool(data, request, "Choose a file first.", 422)
        kept = await run_in_threadpool(keep_upload, file.file, file.filename)
    return RedirectResponse(f"/data?{urlencode({'source': str(kept)})}", status_code=303)


def _state_of(source: str) -> tuple[int, int] | None:
    """Return what changes if a file does; None for an address, which is not read again."""
    try:
        found = Path(source).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


routes = [Route("/data", data), Route("/data", upload, methods=["POST"])]
