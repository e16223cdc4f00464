"""What a run would do (`--dry-run`): its settings, its steps, what is cached, and the cost of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from front_door.run.estimate import DeviceEstimate, describe_reviews, max_training_reviews
from front_door.run.forecast import DEPENDS
from review_sentiment.config import Settings
from review_sentiment.settings_files import flat


@dataclass(frozen=True)
class Plan:
    """A run that has not started; `steps` has the forecast of each step (`forecast.py`)."""

    stack: str
    settings: Settings
    steps: Mapping[str, str]
    data: Mapping[str, str]
    training: DeviceEstimate

    def as_json(self) -> dict[str, object]:
        """Return the plan for `--json`."""
        return {
            "stack": self.stack,
            "settings": self.settings.model_dump(mode="json"),
            "steps": dict(self.steps),
            "data": dict(self.data),
            "training": {
                "needs_gb": self.training.memory.total / 1e9,
                "usable_gb": self.training.usable / 1e9,
                "verdict": self.training.verdict,
                "reviews": max_training_reviews(self.settings),
                "hours": self.training.hours,
            },
        }

    def as_text(self) -> str:
        """Return the plan for the terminal; an asterisk marks settings that differ from their defaults."""
        values, defaults = flat(self.settings), flat(Settings())
        width = max(map(len, values))
        lines = [f"stack {self.stack}; settings (* differs from the default)"]
        for key, value in values.items():
            text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            lines.append(f" {'*' if value != defaults[key] else ' '} {key:{width}}  {text}")
        lines.append(f"\n{len(self.steps)} steps")
        lines += [f"   {forecast:8} {step}" for step, forecast in self.steps.items()]
        if DEPENDS in self.steps.values():
            lines.append(f"{DEPENDS}: cached if the steps before it produce the same outputs as before")
        training = self.training
        lines += [
            f"\ntraining {training.verdict}: it needs about {training.memory.total / 1e9:.1f} GB of "
            f"{training.usable / 1e9:.1f} GB usable memory, and {training.hours:.2g} hours for "
            f"{describe_reviews(max_training_reviews(self.settings))}",
            "\ndata",
        ]
        lines += [f"   {category}: {revision}" for category, revision in self.data.items()]
        return "\n".join(lines)
