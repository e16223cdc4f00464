"""How long a run still takes, from how long the same steps took in earlier runs of its size.

Earlier runs are those of the dashboard's own directory, so of this machine. Two are of one size when they
agree in every setting but those that change no duration. A step counts from the end of the one before.
The present step is scaled by its own progress; a step to come by nothing: a step that other programs
slowed tells little of the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from dashboard.runs.process import RunRecord, list_runs
from dashboard.runs.progress import WAITING, Mark, RunFollower, RunState, StepState
from review_sentiment.errors import UsageError
from review_sentiment.settings_files import flat, load_settings

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
"""Settings, and beginnings of settings, that change what a run finds and not how long it takes."""
RECORDS_READ = 50
"""Newest runs among which those of the same size are looked for."""
SECONDS_OF_DOUBT = 10.0
"""Of work at the earlier pace, added to what this run has shown: its first second decides nothing."""


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until the run's end, and the share (0-1) of its whole time that has passed.

    `bound` is "at most" while no step has worked, for those to come may be found in the cache too, and
    "more than" once the present step takes longer than it did before.
    """

    seconds: float
    share: float
    bound: Literal["at most", "about", "more than"]


def earlier_runs(record: RunRecord) -> tuple[RunState, ...]:
    """Return what the runs of the same size before this one did, the newest first."""
    try:
        size = size_of(record)
    except UsageError:
        return ()
    found = []
    for other in list_runs()[:RECORDS_READ]:
        with suppress(UsageError):  # settings that this version does not know: of no use here
            if other.name < record.name and size_of(other) == size:
                found.append(RunFollower(other.event_file).read(alive=False))
    return tuple(found)


def size_of(record: RunRecord) -> Mapping[str, Any]:
    """Return the settings of a run that its duration depends on.

    Raises:
        UsageError: its settings cannot be read.
    """
    values = flat(load_settings(record.settings_file))
    return {key: value for key, value in values.items() if not key.startswith(TIMELESS)}


def time_left(state: RunState, earlier: Sequence[RunState], now: float) -> TimeLeft | None:
    """Return how long the run still takes, or None where a step to come was never seen at work.

    `now` is in seconds since 1970.
    """
    to_come = [step for step in state.steps.values() if step.status in {WAITING, "running"}]
    if state.ended or not to_come:
        return None
    seconds, late = 0.0, False
    for step in to_come:
        before = _worked_before(step.name, state.stack, earlier)
        if before is None:
            return None
        rest = _rest(step, before, now)
        seconds, late = seconds + rest, late or (step.status == "running" and rest == 0)
        if step is to_come[0] and step.status == WAITING:  # between two steps
            seconds -= min(before.wait, max(0.0, now - state.idle_since))
    passed = max(0.0, now - state.since)
    worked = any(_has_worked(step) for step in state.steps.values())
    return TimeLeft(
        seconds,
        passed / max(passed + seconds, 1e-9),
        "more than" if late else "about" if worked else "at most",
    )


def _worked_before(name: str, stack: str, earlier: Sequence[RunState]) -> StepState | None:
    """Return the step as it was worked last from its begin to its end."""
    seen = (run.steps[name] for run in earlier if run.stack == stack and name in run.steps)
    return next((step for step in seen if step.status == "completed" and not step.resumed), None)


def _rest(step: StepState, before: StepState, now: float) -> float:
    """Return the seconds that a step takes that waits or runs.

    Where its progress shows how far it is, what is left of the earlier one is taken at the present pace.
    """
    if step.status == WAITING:
        return before.wait + before.seconds
    place = _place(step.marks[-1], before) if step.marks else None
    begun = _place(step.marks[0], before) if step.resumed else 0.0
    if place is None or begun is None:
        return max(0.0, before.seconds - (now - step.since))
    took = step.marks[-1].seconds - (step.marks[0].seconds if step.resumed else 0.0)
    pace = (took + SECONDS_OF_DOUBT) / (place - begun + SECONDS_OF_DOUBT)
    since_mark = now - step.since - step.marks[-1].seconds
    return max(0.0, pace * (before.seconds - place) - since_mark)


def _place(mark: Mark, before: StepState) -> float | None:
    """Return the seconds after which the earlier step was as far, None where it had no such task."""
    same = [one for one in before.marks if (one.task, one.round) == (mark.task, mark.round)]
    if not same:
        return None
    low = max((one for one in same if one.share <= mark.share), key=lambda one: one.share, default=same[0])
    high = min((one for one in same if one.share >= mark.share), key=lambda one: one.share, default=same[-1])
    if high.share <= low.share:
        return low.seconds
    part = (mark.share - low.share) / (high.share - low.share)
    return low.seconds + part * (high.seconds - low.seconds)


def _has_worked(step: StepState) -> bool:
    return step.status not in {WAITING, "cached", "running"} or bool(step.marks)
