"""The names of a run's steps, taken from the wiring without importing ZenML, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pipelines.wiring import wire
from review_sentiment.config import Settings
from review_sentiment.errors import UsageError, did_you_mean

RUN_A_MODEL = frozenset(
    {
        "evaluate_baseline",
        "evaluate_few_shot",
        "finetune",
        "evaluate",
        "evaluate_shard",
        "evaluate_champion",
        "probe_robustness",
    }
)
"""Steps that run a language model: a stack with a GPU step operator sends these to the GPU."""
OUTPUTS = {"split_reviews": 4, "fit_decision": 2}
"""Number of artifacts that a step returns, if more than one."""


class _Recorder:
    """Stands in for the steps, and records the name of each invocation with its step, in order."""

    def __init__(self) -> None:
        self.invocations: dict[str, str] = {}

    def __getattr__(self, step: str) -> Callable[..., Any]:
        def record(*_: Any, id: str = step, **__: Any) -> tuple[None, ...] | None:  # noqa: A002 - ZenML's name
            self.invocations[id] = step
            return (None,) * OUTPUTS[step] if step in OUTPUTS else None

        return record


def step_names(settings: Settings) -> list[str]:
    """Return the names of a run's steps, in order."""
    return list(_invocations(settings))


def gpu_steps(settings: Settings) -> set[str]:
    """Return the names of the steps that run a language model."""
    return {name for name, step in _invocations(settings).items() if step in RUN_A_MODEL}


def resolve_steps(wanted: Sequence[str], settings: Settings, option: str) -> list[str]:
    """Return full step names; `ingest_reviews` and `format_chat` stand for all of theirs.

    Raises:
        UsageError: a name is unknown; the nearest right one is suggested.
    """
    known = step_names(settings)
    resolved = []
    for name in wanted:
        matches = [step for step in known if step == name or step.startswith(f"{name}_")]
        exact = [step for step in matches if step == name]
        if not matches:
            raise UsageError(
                f"{option}: '{name}' is not a step.{did_you_mean(name, known)} "
                f"The steps are: {', '.join(known)}."
            )
        resolved.extend(exact or matches)
    return resolved


def _invocations(settings: Settings) -> dict[str, str]:
    recorder = _Recorder()
    wire(recorder, settings, available=(), revisions=dict.fromkeys(settings.data.categories, ""))
    return recorder.invocations
