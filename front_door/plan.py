"""What a run would do: the resolved settings and the steps. Nothing is run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from front_door.launch import look_at_source, step_names
from review_sentiment.config import Settings
from review_sentiment.settings_files import flat

if TYPE_CHECKING:
    from collections.abc import Mapping


def show_plan(settings: Settings, stack: str, as_json: bool) -> None:
    """Print the settings, the ones that differ from the defaults marked, and the steps.

    Raises:
        UsageError: the data source or a category does not exist.
    """
    revisions = look_at_source(settings).revisions
    values, defaults = flat(settings), flat(Settings())
    steps = step_names(settings)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "stack": stack,
                    "settings": settings.model_dump(mode="json"),
                    "steps": steps,
                    "data": dict(revisions),
                }
            )
        )
        return
    width = max(len(key) for key in values)
    click.echo(f"stack {stack}; settings (* differs from the default)")
    for key, value in values.items():
        mark = "*" if value != defaults[key] else " "
        click.echo(f" {mark} {key:{width}}  {_shown(value)}")
    click.echo(
        f"\n{len(steps)} steps; each is taken from the cache unless its code, settings or inputs changed"
    )
    for step in steps:
        click.echo(f"   {step}")
    click.echo("\ndata")
    _show(revisions)


def _show(revisions: Mapping[str, str]) -> None:
    for category, revision in revisions.items():
        click.echo(f"   {category}: {revision}")


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
