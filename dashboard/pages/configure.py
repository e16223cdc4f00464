"""Configure: a field per setting with its problem beside it, and the equivalent command and file."""

from __future__ import annotations

import html
from collections.abc import Mapping

import marimo as mo

from dashboard.settings_form import KEYS, Form, as_text, as_yaml, base_settings, command_line, fields
from dashboard.widgets.layout import code, column, grid, notice, paragraph
from review_sentiment.settings_files import flat

TYPING_MILLISECONDS = 250
"""What was typed is checked after a pause this long."""


def make_fields(config: str, typed: Mapping[str, str]) -> mo.ui.dictionary:
    """Return a field for each of `KEYS`, with what was typed before or the configuration's value."""
    defaults = {key: as_text(value) for key, value in flat(base_settings(config)).items()}
    made: dict[str, mo.ui.text | mo.ui.dropdown] = {}
    for field in fields():
        default = defaults[field.key]
        value = typed.get(field.key, default)
        if field.choices:
            made[field.key] = mo.ui.dropdown(
                list(field.choices),
                value=value if value in field.choices else default,
                label=field.key,
                full_width=True,
            )
        else:
            made[field.key] = mo.ui.text(
                value=value, label=field.key, debounce=TYPING_MILLISECONDS, full_width=True
            )
    return mo.ui.dictionary(made)


def make_other_settings(typed: Mapping[str, str]) -> mo.ui.text_area:
    """Return a text area for the settings that have no field, one per line."""
    lines = [f"{key}={text}" for key, text in typed.items() if key not in KEYS]
    return mo.ui.text_area(
        value="\n".join(lines),
        label="One section.key=value per line",
        placeholder="training.patience=2",
        rows=3,
        debounce=TYPING_MILLISECONDS,
        full_width=True,
    )


def fields_view(made: mo.ui.dictionary, form: Form) -> mo.Html:
    """Show the fields, each with its meaning and its problem, if it has one."""
    cells = []
    for field in fields():
        problem = html.escape(form.problems.get(field.key, ""))
        cells.append(
            mo.Html(
                f"<div class=rs-field>{made[field.key].text}"
                f"{f'<div class=rs-problem role=alert>✗ {problem}</div>' if problem else ''}"
                f"<div class=rs-small>{html.escape(field.help.replace('`', ''))}</div></div>"
            )
        )
    return grid(cells, min_rem=17)


def problems_view(form: Form) -> mo.Html | None:
    """Show the problems that belong to no single field."""
    others = [f"{key}: {text}".removeprefix(": ") for key, text in form.problems.items() if key not in KEYS]
    return notice("Not a valid configuration", "\n".join(others), "danger") if others else None


def equivalents_view(form: Form) -> mo.Html:
    """Show the command line and the file that are equivalent to the form."""
    if form.settings is None:
        return paragraph("The equivalent command and file appear when all settings are valid.")
    return column(
        [
            mo.md("**Equivalent command** (a click selects it)"),
            code(command_line(form)),
            mo.accordion({"Equivalent file for --config": code(as_yaml(form.settings))}),
        ]
    )
