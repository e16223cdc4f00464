"""The dashboard's sections in the order of their tabs, and its URL parameters."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import marimo as mo

from dashboard.serving.server import GUARDED
from dashboard.widgets.layout import notice

MACHINE, CONFIGURE, RUN, COMPARE = "Machine", "Configure", "Run", "Compare"
TRY, MODELS, SPEED, LEARN, SELF_TEST = "Try it", "Models", "CPU and GPU", "Learn", "Self-test"
SECTIONS = (MACHINE, CONFIGURE, RUN, COMPARE, TRY, MODELS, SPEED, LEARN, SELF_TEST)
NEED_VERSIONS = {COMPARE, TRY, MODELS, LEARN, SELF_TEST}
SECTION_PARAMETER, RUN_PARAMETER = "section", "run"


def section_of(name: str) -> str:
    """Return the section with a name, or the first one if there is none."""
    return name if name in SECTIONS else SECTIONS[0]


def address() -> dict[str, str]:
    """Return the URL parameters; a repeated one has its last value."""
    found = mo.query_params().to_dict()
    return {key: value if isinstance(value, str) else value[-1] for key, value in found.items() if value}


def parameter(name: str) -> str:
    """Return a URL parameter, or an empty string."""
    return address().get(name, "")


def remember(parameters: Mapping[str, str], instead_of: Iterable[str] = ()) -> None:
    """Set URL parameters, and remove those named in `instead_of` that are not set."""
    query, present = mo.query_params(), address()
    for name in set(instead_of) & present.keys() - parameters.keys():
        query.remove(name)
    for name, value in parameters.items():
        if present.get(name) != value:
            query.set(name, value)


def guard_notice() -> mo.Html | None:
    """Warn if the app runs without `dashboard/serving/server.py`, which checks where requests come from."""
    if os.environ.get(GUARDED):
        return None
    return notice(
        "Access control is off",
        "`marimo run` does not check which site a request comes from. "
        "Start the dashboard with: python run_pipeline.py ui",
        "warn",
    )
