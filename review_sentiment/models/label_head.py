"""A classification head: an output layer with one row for each label instead of one for each token.

    label words   hidden state -> output layer [vocabulary, hidden] -> tokens of the word "positive"
    head          hidden state -> head [labels, hidden]             -> number of the label "positive"

Either way, an answer is a path through the outputs of the model: the tokens of a word, or a single number. So
training takes the cross-entropy of the outputs on that path and scoring their log-softmax, for both alike,
and what a model does to its logits (Granite divides them, Gemma 2 caps them) happens to the head's as well.

PEFT could save the head with the adapter (`modules_to_save`). It would keep a frozen copy of the output layer
in memory (1 GB for an 8B), and put a wrapper in its place, which scoring reads directly. So the head is a
layer of its own with a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from review_sentiment.errors import ModelUnavailableError
from review_sentiment.models.lora import HEAD_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

INITIAL_STD = 0.02
"""Standard deviation of random initial weights, that of most language models: no label is much likelier."""
LABELS = "labels"
"""Key of the labels, as JSON, in the metadata of the file."""


class LabelHead(torch.nn.Linear):
    """The logits of the labels, in FP32 in any precision: a few rows cost nothing, and BF16 makes ties."""

    def __init__(self, labels: Sequence[str], weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Copy `weight` [labels, hidden] and `bias` [labels]; a row for each label, in this order."""
        super().__init__(weight.shape[1], weight.shape[0], bias is not None, weight.device, torch.float32)
        self.labels = tuple(labels)
        with torch.no_grad():
            self.weight.copy_(weight)
            if bias is not None:
                self.bias.copy_(bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits [..., labels] of hidden states [..., hidden]."""
        with torch.autocast(hidden.device.type, enabled=False):
            return functional.linear(hidden.float(), self.weight, self.bias)


def head_of(model: Any) -> LabelHead | None:
    """Return the head of a model, adapted or not; None if it answers with label words."""
    output = model.get_output_embeddings()
    return output if isinstance(output, LabelHead) else None


def head_from_words(model: PreTrainedModel, labels: Sequence[str], first_tokens: Sequence[int]) -> LabelHead:
    """Return a head whose rows are those of the output layer for the first token of each label.

    Its first answers are those of the untuned model, if these tokens differ.
    """
    output = model.get_output_embeddings()
    rows = list(first_tokens)
    bias = getattr(output, "bias", None)
    return LabelHead(labels, output.weight[rows], None if bias is None else bias[rows])


def random_head(model: PreTrainedModel, labels: Sequence[str], seed: int) -> LabelHead:
    """Return a head with small random weights, the same for the same seed on any device."""
    output = model.get_output_embeddings().weight
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(len(labels), output.shape[1], generator=generator) * INITIAL_STD
    return LabelHead(labels, weight.to(output.device), None)


def use_head(model: PreTrainedModel, head: LabelHead) -> None:
    """Put a head in the place of the model's output layer; embeddings that were tied to it stay."""
    model.set_output_embeddings(head)


def save_head(head: LabelHead, directory: Path) -> None:
    """Save a head beside the adapter: equal heads are equal files."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in head.named_parameters()}
    save_file(tensors, directory / HEAD_FILE, metadata={LABELS: json.dumps(head.labels)})


def load_head(directory: Path, device: torch.device) -> LabelHead:
    """Load the head from an adapter's directory.

    Raises:
        ModelUnavailableError: the file is damaged, or not that of a head.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(directory / HEAD_FILE, "pt", device=str(device)) as file:
            labels = json.loads(file.metadata()[LABELS])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return LabelHead(labels, tensors["weight"], tensors.get("bias"))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelUnavailableError(
            f"The classification head in {directory / HEAD_FILE} cannot be read ({error}). Download the "
            "version again, or train a new one: python run_pipeline.py --rerun finetune"
        ) from error
