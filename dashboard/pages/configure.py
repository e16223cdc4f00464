"""The page of the settings: a field each, what is wrong beside it, and the same as command and file."""

from __future__ import annotations

import html
from collections.abc import Mapping

import marimo as mo

from dashboard.settings_form import KEYS, Form, as_yaml, base_settings, command_line, fields, shown
from dashboard.widgets.layout import code, column, grid, notice, said
from review_sentiment.settings_files import flat

TYPING_MILLISECONDS = 250
"""Pause in typing after which what was typed is looked at."""


def make_fields(config: str, typed: Mapping[str, str]) -> mo.ui.dictionary:
    """Return a field for each of `KEYS`, with what was typed before or the configuration's value."""
    values = {key: shown(value) for key, value in flat(base_settings(config)).items()}
    made: dict[str, mo.ui.text | mo.ui.dropdown] = {}
    for field in fields():
        value = typed.get(field.key, values[field.key])
        if field.choices:
            chosen = value if value in field.choices else values[field.key]
            made[field.key] = mo.ui.dropdown(
                list(field.choices), value=chosen, label=field.key, full_width=True
            )
        else:
            made[field.key] = mo.ui.text(
                value=value, label=field.key, debounce=TYPING_MILLISECONDS, full_width=True
            )
    return mo.ui.dictionary(made)


def make_more(typed: Mapping[str, str]) -> mo.ui.text_area:
    """Return a field for the other settings, a line each."""
    lines = [f"{key}={text}" for key, text in typed.items() if key not in KEYS]
    return mo.ui.text_area(
        value="\n".join(lines),
        label="Other settings, one section.key=value a line",
        placeholder="training.patience=2",
        rows=3,
        debounce=TYPING_MILLISECONDS,
        full_width=True,
    )


def fields_view(made: mo.ui.dictionary, form: Form) -> mo.Html:
    """Show the fields, with their meaning and what is wrong with them."""
    cells = []
    for field in fields():
        problem = form.problems.get(field.key, "")
        below = f"<div class=rs-problem role=alert>✗ {html.escape(problem)}</div>" if problem else ""
        cells.append(
            mo.Html(
                f"<div class=rs-field>{made[field.key].text}{below}"
                f"<div class=rs-small>{html.escape(field.help.replace('`', ''))}</div></div>"
            )
        )
    return grid(cells, least_rem=17)


def problems_view(form: Form) -> mo.Html | None:
    """Show what is wrong beyond single fields."""
    others = [f"{key}: {text}".removeprefix(": ") for key, text in form.problems.items() if key not in KEYS]
    return notice("Not a valid configuration", "\n".join(others), "danger") if others else None


def elsewhere_view(form: Form) -> mo.Html:
    """Show the command line and the file that stand for the form."""
    if form.settings is None:
        return said("Command line and file appear when the settings are right.")
    return column(
        [
            mo.md("**The same as a command** (a click selects it)"),
            code(command_line(form)),
            mo.accordion({"The same as a file for --config": code(as_yaml(form.settings))}),
        ]
    )
