"""Answers that the model generates itself, greedily: what scoring stands for, and is audited with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from review_sentiment.models import ComputePlan

MAX_ANSWER_TOKENS = 8
"""Tokens after which an answer is cut: more than a label has, so that what follows a label shows."""
ANSWERS_PER_BATCH = 16
"""Answers that are generated together."""


def generate_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    plan: ComputePlan,
) -> list[str]:
    """Return the text that greedy generation answers to each prompt, unaltered, in the prompts' order.

    Prompts of similar length go together, padded on the left.
    """
    import torch

    answers: dict[int, str] = {}
    by_length = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    with torch.inference_mode(), plan.autocast():
        for start in range(0, len(prompts), ANSWERS_PER_BATCH):
            batch = by_length[start : start + ANSWERS_PER_BATCH]
            inputs = tokenizer(
                [prompts[row] for row in batch],
                add_special_tokens=False,
                padding=True,
                padding_side="left",
                return_tensors="pt",
            )
            output = model.generate(
                **inputs.to(model.device),
                max_new_tokens=MAX_ANSWER_TOKENS,
                do_sample=False,
                use_cache=True,
                pad_token_id=tokenizer.pad_token_id,
            )
            new_tokens = output[:, inputs["input_ids"].shape[1] :]
            answers |= zip(batch, tokenizer.batch_decode(new_tokens, skip_special_tokens=True), strict=True)
    return [answers[row] for row in range(len(prompts))]
