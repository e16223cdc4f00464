"""How a classification head starts: from the words of the labels if these tell the labels apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from review_sentiment.data.prompts import label_token_ids
from review_sentiment.models.label_head import head_from_words, random_head, use_head
from review_sentiment.training.decisions import Decision

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def start_head(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    labels: Sequence[str],
    seed: int,
) -> Decision:
    """Put a new head in the place of the output layer; return its initial weights, with the reason."""
    first = [ids[0] for ids in label_token_ids(tokenizer, prompt, labels)]
    name = "initial head"
    shared = next((label for label, token in zip(labels, first, strict=True) if first.count(token) > 1), None)
    if shared is None:
        use_head(model, head_from_words(model, labels, first))
        return Decision(
            name,
            "the output layer's rows of the labels' first tokens",
            "these differ, so training starts from the untuned model's answers",
        )
    use_head(model, random_head(model, labels, seed))
    others = [
        label for label, token in zip(labels, first, strict=True) if token == first[labels.index(shared)]
    ]
    return Decision(name, "small random weights", f"{' and '.join(others)} start with the same token")
