"""What a run would do: the resolved settings, the steps and what the cache has. Nothing is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import click

from front_door.run.estimate import Row, most_reviews, reviews_said
from front_door.run.forecast import DEPENDS
from review_sentiment.config import Settings
from review_sentiment.settings_files import flat


@dataclass(frozen=True)
class Plan:
    """A run that has not started: `steps` maps each step to what `forecast.py` knows of it."""

    stack: str
    settings: Settings
    steps: Mapping[str, str]
    data: Mapping[str, str]
    training: Row

    def as_json(self) -> str:
        """Return the plan as one object."""
        return json.dumps(
            {
                "stack": self.stack,
                "settings": self.settings.model_dump(mode="json"),
                "steps": dict(self.steps),
                "data": dict(self.data),
                "training": {
                    "needs_gb": self.training.memory.total / 1e9,
                    "usable_gb": self.training.usable / 1e9,
                    "verdict": self.training.verdict,
                    "reviews": most_reviews(self.settings),
                    "hours": self.training.hours,
                },
            }
        )

    def show(self) -> None:
        """Print the settings, the ones that differ from the defaults marked, the steps and the data."""
        values, defaults = flat(self.settings), flat(Settings())
        width = max(len(key) for key in values)
        click.echo(f"stack {self.stack}; settings (* differs from the default)")
        for key, value in values.items():
            mark = "*" if value != defaults[key] else " "
            click.echo(f" {mark} {key:{width}}  {_shown(value)}")
        click.echo(f"\n{len(self.steps)} steps")
        for step, fate in self.steps.items():
            click.echo(f"   {fate:8} {step}")
        if DEPENDS in self.steps.values():
            click.echo(f"{DEPENDS}: cached if the steps before it yield what they yielded before")
        row = self.training
        click.echo(
            f"\ntraining {row.verdict}: it needs about {row.memory.total / 1e9:.1f} GB, "
            f"{row.usable / 1e9:.1f} GB are usable; {row.hours:.2g} hours for "
            f"{reviews_said(most_reviews(self.settings))}"
        )
        click.echo("\ndata")
        for category, revision in self.data.items():
            click.echo(f"   {category}: {revision}")


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
