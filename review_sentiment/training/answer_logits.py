"""The logits of a micro-batch at its answers: at the positions that predict an answer token, nowhere else.

The logits of one position are vocabulary-wide: 49,152 numbers for the embedded model, as many as the hidden
states of 85 positions. `logits_to_keep` selects the positions before the output layer. A position predicts
the token after it, hence `labels[:, 1:]`.

Both functions take `input_ids`, `labels` and `attention_mask` of [rows, width] on the host, and return logits
[n, vocabulary] and targets [n] on the model's device, and how many tokens were computed.
"""

from __future__ import annotations

import torch

from review_sentiment.models.batching import on_device
from review_sentiment.models.packing import pack

IGNORED = -100
"""Label of tokens that the loss ignores (PyTorch's convention)."""


def packed_logits(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Compute the rows as one sequence with a shared prefix."""
    device = next(model.parameters()).device
    lengths = inputs["attention_mask"].sum(dim=1).tolist()
    # The last token of a row is an answer token. Nothing is predicted from it, so it is not computed.
    rows = [ids[: length - 1] for ids, length in zip(inputs["input_ids"].tolist(), lengths, strict=True)]
    row, column = (inputs["labels"][:, 1:] != IGNORED).nonzero(as_tuple=True)
    # Rows may share their beginning up to the first answer position of any row; each row needs that position
    # for itself.
    batch = pack(rows, most_shared=int(column.min()))
    answers = on_device(batch.rows.places(row, column), device)
    output = model(**batch.inputs(device), logits_to_keep=answers)
    targets = on_device(inputs["labels"][row, column + 1], device)
    return output.logits[0], targets, batch.input_ids.numel()


def padded_logits(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Compute the rows side by side, padded on the right."""
    device = next(model.parameters()).device
    targets = inputs["labels"][:, 1:]
    # Each row has its own columns, as many as the longest answer has tokens. Sorting puts answers first, in
    # their order; what follows them in a row with a shorter answer is IGNORED.
    is_answer = (targets != IGNORED).int()
    columns = is_answer.argsort(dim=1, descending=True, stable=True)[:, : int(is_answer.sum(dim=1).max())]
    # No attention mask: in a causal model, no token of a row sees the padding to its right.
    output = model(
        input_ids=on_device(inputs["input_ids"], device),
        logits_to_keep=on_device(columns, device),
        use_cache=False,
    )
    targets = on_device(targets.gather(1, columns).flatten(), device)
    return output.logits.flatten(0, 1), targets, inputs["input_ids"].numel()
