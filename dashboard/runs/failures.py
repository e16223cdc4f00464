"""What to do about a run that did not complete: its error, the settings that matter, and a suggestion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.errors import EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.runs.progress import RunState


@dataclass(frozen=True)
class Explanation:
    """What happened, and what to do about it."""

    title: str
    text: str


@dataclass(frozen=True)
class FailureKind:
    """A kind of failure: the pattern of its message, the settings that matter, and a suggestion.

    Resume is offered only if a retry with the same settings can succeed (`resumable`).
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
    FailureKind(
        "Not enough memory",
        r"no setting makes it small enough|although a single review|outside the micro-batches",
        MEMORY_KEYS,
        "A smaller training.tokens_per_pass is not enough here: lower lora.rank, shorten prompt.max_tokens, "
        "or choose a smaller model.name. New run shows what fits.",
        resumable=False,
    ),
    FailureKind(
        "Not enough memory",
        r"out of memory|memory ran out|can(not|'t) allocate memory|MemoryError|GB are free on"
        r"|training does not fit",
        MEMORY_KEYS,
        "Lower training.tokens_per_pass first: it does not change the result. New run shows what fits.",
    ),
    FailureKind(
        "The loss or the gradient is not finite",
        r"\bnan\b|not finite|non-finite|infinite",
        ("training.learning_rate", "training.weight_decay", "training.max_grad_norm", "model.precision"),
        "Lower training.learning_rate to a third, and a training.weight_decay above 0.1; "
        "with fp16, try model.precision=bf16 or fp32.",
        resumable=False,
    ),
    FailureKind(
        "No access to the model",
        r"gated|HF_TOKEN|hf auth login|private and you have no access",
        ("model.name", "model.revision"),
        "Until access is granted, model.name=embedded works without an account.",
    ),
    FailureKind(
        "The disk is full",
        r"no room left|no space left|quota exceeded|free some space|database or disk is full|file too large",
        ("training.checkpoint_dir", "training.checkpoint_minutes"),
        "Free some space, then resume: finished steps and checkpoints are kept.",
    ),
)
LOST = FailureKind(
    "The run's process exited without reporting a result",
    "",
    MEMORY_KEYS,
    "The system kills processes when memory runs out, and a restart of the machine ends them too. Resume "
    "continues from the newest checkpoint; lower training.tokens_per_pass if memory was short.",
)


def explain(state: RunState, values: Mapping[str, object], errors: str) -> Explanation:
    """Explain a run that was interrupted, failed or lost; `errors` is its standard error.

    `values` are its settings by key, as far as they are known.
    """
    if state.status == "interrupted":
        title = "Stopped by you" if state.stop_asked else "Interrupted"
        kept = "Finished steps and the newest checkpoint are kept: Resume continues from there."
        return Explanation(title, kept if state.stop_asked else f"{state.error}\n{kept}")
    message, kind = state.error, failure_kind(state.error)
    if state.status == "lost":
        message, kind = last_line(errors), LOST
    if kind is None:
        return Explanation("Failed", message or last_line(errors))
    present = ", ".join(f"{key}={values[key]}" for key in kind.keys if key in values)
    lines = [message, *([f"Present values: {present}."] if present else []), kind.suggestion]
    return Explanation(kind.title, "\n".join(lines))


def can_resume(state: RunState) -> bool:
    """Return whether a run that ended early can succeed with the settings that it has.

    Settings that were rejected once are rejected again.
    """
    if state.status != "failed":
        return state.status != "completed"
    kind = failure_kind(state.error)
    return state.exit_code != EXIT_USAGE and (kind is None or kind.resumable)


def failure_kind(message: str) -> FailureKind | None:
    """Return the kind of failure that an error message describes, or None."""
    return next((kind for kind in KINDS if re.search(kind.pattern, message, re.IGNORECASE)), None)


def last_line(errors: str) -> str:
    """Return the last line of a run's standard error."""
    lines = errors.strip().splitlines()
    return f"Last line of its standard error: {lines[-1].strip()}" if lines else "It wrote no error message."
