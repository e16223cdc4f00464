"""What to do about a run that ended early: its own message, the values it ran with, and a suggestion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.errors import EXIT_USAGE, UsageError
from review_sentiment.settings_files import flat, load_settings

if TYPE_CHECKING:
    from dashboard.runs.progress import RunState


@dataclass(frozen=True)
class Explanation:
    """What happened and what to do, for the person who started the run."""

    title: str
    text: str


@dataclass(frozen=True)
class Kind:
    """A kind of failure: how its message is known, the settings that matter, and what to try.

    `resumable` tells whether the same settings can lead to another end.
    """

    title: str
    pattern: str
    keys: tuple[str, ...]
    suggestion: str
    resumable: bool = True


MEMORY_KEYS = (
    "training.batch_size",
    "training.tokens_per_pass",
    "prompt.max_tokens",
    "lora.rank",
    "training.gradient_checkpointing",
    "model.quantization",
)
KINDS = (
    Kind(
        "Not enough memory",
        r"not even .* would do|although one review|outside the passes",
        MEMORY_KEYS,
        "Fewer training.tokens_per_pass do not suffice here: lower lora.rank, shorten prompt.max_tokens, or "
        "take a smaller model.name. Configure shows what fits.",
        resumable=False,
    ),
    Kind(
        "Not enough memory",
        r"out of memory|memory ran out|can(not|'t) allocate memory|MemoryError|GB are free on",
        MEMORY_KEYS,
        "Take fewer training.tokens_per_pass first: the result stays as it is. Configure shows what fits.",
    ),
    Kind(
        "The loss or the gradient was no number",
        r"\bnan\b|not finite|non-finite|infinite",
        ("training.learning_rate", "training.weight_decay", "training.max_grad_norm", "model.precision"),
        "Lower training.learning_rate to a third, and a training.weight_decay above 0.1; "
        "with fp16, try model.precision=bf16 or fp32.",
        resumable=False,
    ),
    Kind(
        "No access to the model",
        r"gated|HF_TOKEN|hf auth login|private and not yours",
        ("model.name", "model.revision"),
        "Until access is granted, model.name=embedded works without an account.",
    ),
    Kind(
        "The disk is full",
        r"no room left|no space left|quota exceeded|database or disk is full|file too large",
        ("training.checkpoint_dir", "training.checkpoint_minutes"),
        "Free some room, then resume: what was finished is kept.",
    ),
)
LOST = Kind(
    "The run's process is gone, and it said no end",
    "",
    MEMORY_KEYS,
    "The system ends processes so when memory runs out, and so does a restart of the machine. Resume goes on "
    "from the newest checkpoint; take fewer training.tokens_per_pass where memory was short.",
)


def explain(state: RunState, settings_file: Path, errors: str) -> Explanation:
    """Return what to tell about a run that was interrupted, failed or lost."""
    if state.status == "interrupted":
        return Explanation("Interrupted", f"{state.error}\nResume starts it again with the same settings.")
    if state.status == "lost":
        return Explanation(LOST.title, _text(last_words(errors), LOST, settings_file))
    kind = failure_kind(state.error)
    if kind is None:
        return Explanation("Failed", state.error or last_words(errors))
    return Explanation(kind.title, _text(state.error, kind, settings_file))


def can_resume(state: RunState) -> bool:
    """Tell whether a run that ended early could go on with the settings that it has.

    Settings that were refused are refused again, and so is what a kind of failure says of itself.
    """
    if state.status != "failed":
        return state.status != "completed"
    kind = failure_kind(state.error)
    return state.exit_code != EXIT_USAGE and (kind is None or kind.resumable)


def failure_kind(message: str) -> Kind | None:
    """Return the kind of failure that a message is about, or None."""
    return next((kind for kind in KINDS if re.search(kind.pattern, message, re.IGNORECASE)), None)


def last_words(errors: str) -> str:
    """Return the last line of a standard error."""
    said = [line for line in errors.strip().splitlines() if line.strip()]
    return f"Its last words were: {said[-1].strip()}" if said else "It wrote nothing."


def _text(message: str, kind: Kind, settings_file: Path) -> str:
    try:
        values = flat(load_settings(settings_file))
        present = "Present values: " + ", ".join(f"{key}={values[key]}" for key in kind.keys) + "."
    except UsageError as error:
        present = str(error)
    return f"{message}\n{present}\n{kind.suggestion}"
