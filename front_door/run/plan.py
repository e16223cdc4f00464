"""What a run would do (`--dry-run`): its settings, its steps, what is cached, and the cost of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from front_door.run.forecast import CACHED, DEPENDS
from front_door.run.preflight import Preflight
from front_door.run.storage import GIGABYTE
from review_sentiment.config import Settings
from review_sentiment.settings_files import flat


@dataclass(frozen=True)
class Plan:
    """A run that has not started and has passed its checks; `steps` has the forecast of each step."""

    ready: Preflight
    steps: Mapping[str, str]

    @property
    def _trains(self) -> bool:
        return self.steps.get("finetune", CACHED) != CACHED

    @property
    def _scores(self) -> bool:
        return self.steps.get("evaluate", CACHED) != CACHED

    def as_json(self) -> dict[str, object]:
        """Return the plan for `--json`; `training` and `scoring` are null if cached or elsewhere."""
        ready = self.ready
        training = ready.training if self._trains else None
        return {
            "stack": ready.stack.name,
            "settings": ready.settings.model_dump(mode="json"),
            "steps": dict(self.steps),
            "data": dict(ready.source.revisions),
            "training": training
            and {
                "needs_gb": training.memory.total / GIGABYTE,
                "usable_gb": training.usable / GIGABYTE,
                "verdict": training.verdict,
                "would_fit": training.would_fit,
                "reviews": ready.reviews.trained(ready.settings),
                "reviews_from": ready.reviews.source,
                "hours": training.hours,
            },
            "scoring": asdict(ready.scoring) if self._scores and ready.scoring else None,
        }

    def as_text(self) -> str:
        """Return the plan for the terminal; an asterisk marks settings that differ from their defaults."""
        ready = self.ready
        values, defaults = flat(ready.settings), flat(Settings())
        width = max(map(len, values))
        lines = [f"stack {ready.stack.name}; settings (* differs from the default)"]
        for key, value in values.items():
            text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            lines.append(f" {'*' if value != defaults[key] else ' '} {key:{width}}  {text}")
        lines.append(f"\n{len(self.steps)} steps")
        lines += [f"   {forecast:8} {step}" for step, forecast in self.steps.items()]
        if DEPENDS in self.steps.values():
            lines.append(f"{DEPENDS}: cached if the steps before it produce the same outputs as before")
        lines.append(f"\n{self._training()}")
        if self._scores and ready.scoring:
            lines.append(str(ready.scoring))
        lines.append("\ndata")
        lines += [f"   {category}: {revision}" for category, revision in ready.source.revisions.items()]
        return "\n".join(lines)

    def _training(self) -> str:
        if self._trains:
            return self.ready.training_text
        return "training is cached" if "finetune" in self.steps else "no training"
