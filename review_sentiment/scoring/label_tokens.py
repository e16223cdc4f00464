"""Find the outputs of a model that tell one label from another: tokens, or numbers of a classification head.

The labels "negative" and "positive" differ in their first token, so scoring the next token once separates
them. "very bad" and "very good" share it, so the token after "very" is scored too. The labels form a tree,
whose inner nodes are the beginnings that several of them share:

    after ()       negative -> [0]    very -> [1, 2]
    after (very)   bad -> [1]         good -> [2]

A classification head has one output for each label, so its tree is the root alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from review_sentiment.data.prompts import label_token_ids
from review_sentiment.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Branch:
    """A node of the tree: the tokens that lead to it, and the labels that continue with each next output."""

    after: tuple[int, ...]
    labels_by_token: dict[int, list[int]]


def answer_branches(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, labels: Sequence[str]
) -> list[Branch]:
    """Return the nodes at which labels part in the answers of a model, as `label_branches` does for words.

    Raises:
        DataError: the model has a head for other labels, or two labels consist of the same tokens.
    """
    from review_sentiment.models.label_head import head_of

    head = head_of(model)
    if head is None:
        return label_branches(tokenizer, prompt, labels)
    if head.labels != tuple(labels):
        raise DataError(
            f"The version's classification head answers with {', '.join(head.labels)}, not with "
            f"{', '.join(labels)}. Choose another version, or train one: python run_pipeline.py"
        )
    return [Branch((), {number: [number] for number in range(len(labels))})]


def label_branches(tokenizer: PreTrainedTokenizerBase, prompt: str, labels: Sequence[str]) -> list[Branch]:
    """Return the nodes of the tree at which labels part, the root first and parents before children.

    Raises:
        DataError: two labels consist of the same tokens.
    """
    # Labels end with the end-of-turn token, as in training. Without it, a label that is the beginning
    # of another ("good", "good and bad") would have no token of its own.
    tails = [(*ids, int(tokenizer.eos_token_id)) for ids in label_token_ids(tokenizer, prompt, labels)]
    if len(set(tails)) < len(tails):
        raise DataError(f"Two of the labels {', '.join(labels)} are the same tokens. Choose others.")
    branches: list[Branch] = []
    waiting: list[tuple[tuple[int, ...], list[int]]] = [((), list(range(len(labels))))]
    while waiting:
        after, members = waiting.pop(0)
        by_token: dict[int, list[int]] = {}
        for label in members:
            by_token.setdefault(tails[label][len(after)], []).append(label)
        branches.append(Branch(after, by_token))
        # A label that is alone on its branch is identified. Its remaining tokens are not scored.
        waiting += [((*after, token), group) for token, group in by_token.items() if len(group) > 1]
    return branches
