"""A prompt with examples: a few training reviews of each label and their answers follow the instruction.

All prompts then begin with the same examples, and scoring computes what prompts share only once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.data.prompts import special_markers, without_markers
from review_sentiment.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_EXAMPLES = 32
"""More would take most of the context of a small model: 2,048 tokens for SmolLM2."""
MAX_WORDS = 40
"""Longer reviews are not used as examples, unless a label has no others."""


@dataclass(frozen=True)
class FewShot:
    """Examples for a prompt: `shots` random reviews of each label from `train` (title, text and label)."""

    form: PromptFormat
    train: pd.DataFrame
    shots: int
    seed: int


def with_examples(few: FewShot, tokenizer: PreTrainedTokenizerBase) -> PromptFormat:
    """Return the format with the examples behind the instruction; the limit of tokens grows by theirs.

    Raises:
        UsageError: there would be more than `MAX_EXAMPLES`.
    """
    form, train, shots = few.form, few.train, few.shots
    if shots * len(form.labels) > MAX_EXAMPLES:
        raise UsageError(
            f"arms.shots={shots} makes {shots * len(form.labels)} examples of {len(form.labels)} labels, and "
            f"{MAX_EXAMPLES} fit into a prompt. Lower it, or take few_shot out of arms.include."
        )
    words = train["text"].map(lambda text: len(text.split()))
    # Short ones first, otherwise in a random order; the stable sort keeps it.
    shuffled = train.assign(long=words > MAX_WORDS).sample(frac=1, random_state=few.seed)
    chosen = shuffled.sort_values("long", kind="stable").groupby("label").head(shots)
    # Mixed, so that the last examples are not all of one label: models repeat the latest answers.
    mixed = chosen.sample(frac=1, random_state=few.seed)
    markers = special_markers(tokenizer)
    examples = "\n\n".join(
        f"Review: {without_markers(f'{title} {text}'.strip(), markers)}\nAnswer: {label}"
        for title, text, label in zip(mixed["title"], mixed["text"], mixed["label"], strict=True)
    )
    added = f"\n\n{examples}\n"
    tokens = len(tokenizer.encode(added, add_special_tokens=False))
    return replace(form, instruction=form.instruction + added, max_tokens=form.max_tokens + tokens)
