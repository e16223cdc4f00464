"""How long a run will still take, from how long the same steps took in earlier runs of the same size.

Only runs of this machine count. Runs have the same size if they agree in every setting that a duration
depends on. Before the first of a size, its steps are estimated. A step is timed from the end of the previous
one. Only the current step is scaled by its own progress: if other programs slowed it, that says little about
the steps to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dashboard.runs.progress import WAITING, Mark, RunState, StepState

if TYPE_CHECKING:
    from dashboard.runs.local import LocalRun
    from review_sentiment.config import Settings

TIMELESS = (
    "seed",
    "lora.alpha",
    "training.learning_rate",
    "training.schedule",
    "training.warmup_share",
    "training.weight_decay",
    "training.max_grad_norm",
    "training.fit",
    "gate.",
    "tracking.",
    "registry.",
)
"""Settings, or prefixes of settings, that change a run's result but not its duration."""
RUNS_READ = 50
"""Newest runs among which those of the same size are searched."""
HOUR = 3_600
OTHER_STEP_SECONDS = 4.0
"""Estimate for a step that neither trains nor scores."""
TASKS = {"finetune": "training", "evaluate": "scoring reviews", "evaluate_baseline": "scoring reviews"}
"""The task that most of a step's time goes to."""
PRIOR_SECONDS = 10.0
"""Weight of the earlier speed, as seconds of work, so that the first second of progress decides nothing."""


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until the end of the run, and the fraction (0-1) of its total time that has passed.

    `bound` is "at most" before any step has worked, because the next ones may be cached too, and
    "more than" once the current step takes longer than it did before.
    """

    seconds: float
    fraction: float
    bound: Literal["at most", "about", "more than"]


def earlier_runs(
    name: str, runs: Iterable[LocalRun], settings: Mapping[str, Mapping[str, str]]
) -> tuple[RunState, ...]:
    """Return the states of those of the runs that have the size of the one with this name, newest first.

    `settings` are the settings of the runs by their names.
    """
    if name not in settings:
        return ()
    size = size_of(settings[name])
    newest = sorted((run for run in runs if run.name in settings), key=lambda run: -run.since)
    return tuple(run.read() for run in newest if run.name != name and size_of(settings[run.name]) == size)


def size_of(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings of a run that its duration depends on."""
    return {key: value for key, value in settings.items() if not key.startswith(TIMELESS)}


def estimated_run(settings: Settings, steps: Sequence[str], stack: str) -> RunState:
    """Return a run of these steps that takes as long as is estimated for this machine.

    Raises:
        ModelUnavailableError: the model's configuration cannot be read.
    """
    from front_door.run.estimate import estimate_here, scoring_here

    training, evaluation = settings.training, settings.evaluation
    reviews = max(1, len(settings.data.categories)) * settings.split.evaluation_per_category
    validated = training.validations * training.validation_samples
    seconds = dict.fromkeys(steps, OTHER_STEP_SECONDS)
    seconds["finetune"] = HOUR * estimate_here(settings).hours + scoring_here(settings, validated)
    seconds["evaluate"] = seconds["evaluate_champion"] = scoring_here(settings, reviews)
    seconds["evaluate_baseline"] = scoring_here(settings, evaluation.baseline_samples or reviews)
    made = {
        name: StepState(
            name,
            "completed",
            seconds[name],
            marks=tuple(
                Mark(TASKS.get(name, ""), 0, fraction, fraction * seconds[name]) for fraction in (0, 1)
            ),
        )
        for name in steps
    }
    return RunState(status="completed", stack=stack, steps=made)


def time_left(state: RunState, earlier: Sequence[RunState], now: float) -> TimeLeft | None:
    """Return how long the run will still take; None if a remaining step never did its work before.

    `now` is in seconds since 1970.
    """
    remaining = [step for step in state.steps.values() if step.status in {WAITING, "running"}]
    if state.ended or not remaining:
        return None
    seconds, late = 0.0, False
    for step in remaining:
        before = _last_completed(step.name, state.stack, earlier)
        if before is None:
            return None
        rest = _seconds_left(step, before, now)
        seconds += rest
        late = late or (step.status == "running" and rest == 0)
        if step is remaining[0] and step.status == WAITING:  # between two steps
            seconds -= min(before.wait, max(0.0, now - state.idle_since))
    passed = max(0.0, now - state.since)
    worked = any(_has_worked(step) for step in state.steps.values())
    return TimeLeft(
        seconds,
        passed / max(passed + seconds, 1e-9),
        "more than" if late else "about" if worked else "at most",
    )


def _last_completed(name: str, stack: str, earlier: Sequence[RunState]) -> StepState | None:
    """Return the step of the newest run that did all of its work."""
    steps = (run.steps[name] for run in earlier if run.stack == stack and name in run.steps)
    return next((step for step in steps if step.status == "completed" and not step.resumed), None)


def _seconds_left(step: StepState, before: StepState, now: float) -> float:
    """Return the seconds that a waiting or running step will still take.

    If its progress can be compared with the earlier step's, what remains of that is scaled by the ratio of
    their speeds.
    """
    if step.status == WAITING:
        return before.wait + before.seconds
    place = _seconds_at(step.marks[-1], before) if step.marks else None
    start = _seconds_at(step.marks[0], before) if step.resumed else 0.0
    if place is None or start is None:
        return max(0.0, before.seconds - (now - step.since))
    took = step.marks[-1].seconds - (step.marks[0].seconds if step.resumed else 0.0)
    slowdown = (took + PRIOR_SECONDS) / (place - start + PRIOR_SECONDS)
    since_mark = now - step.since - step.marks[-1].seconds
    return max(0.0, slowdown * (before.seconds - place) - since_mark)


def _seconds_at(mark: Mark, before: StepState) -> float | None:
    """Return the seconds after which the earlier step had got as far; None if it had no such task."""
    same = [other for other in before.marks if (other.task, other.round) == (mark.task, mark.round)]
    if not same:
        return None
    fractions, seconds = [other.fraction for other in same], [other.seconds for other in same]
    return float(np.interp(mark.fraction, fractions, seconds))


def _has_worked(step: StepState) -> bool:
    return step.status not in {WAITING, "cached", "running"} or bool(step.marks)
