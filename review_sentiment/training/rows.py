"""The rows of a training: chats as token ids, of which only the answer has labels.

With label words the answer is the tokens of the completion. With a classification head it is the number of
the label, at the same place: behind the last token of the prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from review_sentiment.config import DEFAULT_HEAD, Head
from review_sentiment.models.batching import PAD_TO_MULTIPLE_ON_GPU, padded_width
from review_sentiment.training.answer_logits import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

    from review_sentiment.data.chats import ChatDataset


def tokenise(chats: ChatDataset, tokenizer: PreTrainedTokenizerBase, head: Head = DEFAULT_HEAD) -> Dataset:
    """Return a data set with `input_ids`, `labels` and `row`; only the answer has labels.

    The answer is the tokens of the completion, or the number of the label for a classification head.
    """
    from datasets import Dataset

    frame = chats.frame
    columns = zip(frame["prompt"], frame["completion"], frame["label"], strict=True)
    rows = []
    for number, (prompt, completion, label) in enumerate(columns):
        prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
        # The tokens of the prompt are a prefix of those of the chat: `prompts.py` refuses tokenizers that
        # merge the end of the prompt with the answer.
        if head == "labels":
            answer = tokenizer.encode(prompt + completion, add_special_tokens=False)[len(prompt_ids) :]
        else:  # nothing is predicted from an answer's last position, so its input may be any number
            answer = [chats.labels.index(label)]
        # The prompt has no labels. A prompt has about a hundred tokens and the answer two: with labels
        # everywhere, 98 % of the loss would teach the model to write reviews.
        labels = [IGNORED] * len(prompt_ids) + answer
        rows.append({"input_ids": prompt_ids + answer, "labels": labels, "row": number})
    return Dataset.from_list(rows)


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Return `input_ids`, `labels` and `attention_mask` of [rows, width], padded right, and `row` [rows]."""
    # As wide as any device wants it; a micro-batch cuts off what its own device does not need.
    width = padded_width([len(row["input_ids"]) for row in rows], PAD_TO_MULTIPLE_ON_GPU)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[number, :length] = torch.tensor(row["input_ids"])
        labels[number, :length] = torch.tensor(row["labels"])
        mask[number, :length] = 1
    return {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": mask,
        "row": torch.tensor([row["row"] for row in rows]),
    }
