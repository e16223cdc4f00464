"""What a model is asked besides the review: the instruction, the labels and the limit of tokens.

A version keeps its own `PromptFormat`: scoring, serving, export and parity ask in the words of its training,
whatever the settings or the defaults say by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.data.labels import NEUTRAL
from review_sentiment.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from review_sentiment.config import PromptSettings

PLACEHOLDER = "{labels}"
"""What a task contains in place of the labels."""
SENTIMENT_TASK = f"Classify the sentiment of the review as {PLACEHOLDER}."
OTHER_TASK = f"Classify the review as {PLACEHOLDER}."


@dataclass(frozen=True)
class PromptFormat:
    """The labels in the order of the class index, the instruction, and the most tokens of a chat."""

    labels: tuple[str, ...]
    instruction: str
    max_tokens: int


def prompt_format(settings: PromptSettings, labels: Sequence[str]) -> PromptFormat:
    """Return the format that the settings ask for: the task, then a line for each label with a description.

    Raises:
        UsageError: a description is of no label.
    """
    described = settings.label_descriptions
    for name in described:
        if name not in labels:
            raise UsageError(
                f"prompt.label_descriptions: '{name}' is not a label.{did_you_mean(name, labels)} "
                f"The labels are {', '.join(labels)}."
            )
    task = (settings.task or default_task(labels)).replace(PLACEHOLDER, listed(labels))
    lines = [f"{label}: {described[label]}" for label in labels if label in described]
    return PromptFormat(tuple(labels), "\n".join([task, *lines]), settings.max_tokens)


def asks_for_sentiment(labels: Sequence[str]) -> bool:
    """Return whether the labels are sentiments."""
    return set(labels) <= set(NEUTRAL.names)


def default_task(labels: Sequence[str]) -> str:
    """Return the task of settings without one."""
    return SENTIMENT_TASK if asks_for_sentiment(labels) else OTHER_TASK


def listed(labels: Sequence[str]) -> str:
    """Return the labels as a sentence lists them: "bug, praise or question"."""
    *first, last = labels
    return f"{', '.join(first)} or {last}" if first else last
