"""Evaluate the untuned model with examples in its prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from review_sentiment.data.chats import format_chats
from review_sentiment.data.few_shot import FewShot, with_examples
from review_sentiment.evaluation.evaluate import HeldOut, evaluate_model
from review_sentiment.models.loading import load_tokenizer

if TYPE_CHECKING:
    from review_sentiment.config import EvaluationSettings
    from review_sentiment.data.chats import ChatDataset
    from review_sentiment.evaluation.result import Evaluation
    from review_sentiment.models.base_model import ModelIdentity
    from review_sentiment.models.compute import ComputePlan

FEW_SHOT = "few_shot"


def evaluate_few_shot(
    base: ModelIdentity, few: FewShot, chats: HeldOut, plan: ComputePlan, settings: EvaluationSettings
) -> Evaluation:
    """Evaluate the base model on the reviews of the chats, formatted with the examples.

    Raises:
        UsageError: there would be too many examples.
    """
    tokenizer = load_tokenizer(base)
    form = with_examples(few, tokenizer)

    def formatted(found: ChatDataset) -> ChatDataset:
        return format_chats(found.frame, tokenizer, form)

    decision = formatted(chats.decision) if chats.decision else None
    found = evaluate_model(base, None, HeldOut(formatted(chats.evaluation), decision), plan, settings)
    return replace(found, model=FEW_SHOT)
