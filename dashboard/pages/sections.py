"""The parts of the dashboard, in the order of their tabs, and what its address says."""

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
    """Return the section that an address names, the first one where it names none."""
    return name if name in SECTIONS else SECTIONS[0]


def address() -> dict[str, str]:
    """Return the parameters of the page's address, the last value of each."""
    found = mo.query_params().to_dict()
    return {key: value if isinstance(value, str) else value[-1] for key, value in found.items() if value}


def parameter(name: str) -> str:
    """Return a parameter of the page's address, or an empty text."""
    return address().get(name, "")


def remember(parameters: Mapping[str, str], instead_of: Iterable[str] = ()) -> None:
    """Put parameters into the page's address; those of `instead_of` that are not among them go."""
    query, present = mo.query_params(), address()
    for name in set(instead_of) & present.keys() - parameters.keys():
        query.remove(name)
    for name, value in parameters.items():
        if present.get(name) != value:
            query.set(name, value)


def guarded() -> bool:
    """Tell whether `server.py` is in front of the app."""
    return bool(os.environ.get(GUARDED))


def unguarded_notice() -> mo.Html:
    """Say what `marimo run` leaves open."""
    return notice(
        "Started without its own server",
        "`marimo run` does not check which site a request comes from. Instead: python run_pipeline.py ui",
        "warn",
    )
