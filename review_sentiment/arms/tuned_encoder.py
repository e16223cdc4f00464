"""An encoder whose upper layers are trained with a linear layer on its mean hidden state.

The lower layers and the embeddings stay as they are, because a backward pass through them would double the
time without a better result, and there is no dropout, which takes a quarter of it. Each optimizer step has
reviews at random. Only within a step are reviews of similar length computed together, so padding costs little
and the gradient is that of the random batch.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.arms.arm import LabelledDocuments
from review_sentiment.arms.encoder_classifier import EncoderClassifier
from review_sentiment.arms.linear import LinearHead
from review_sentiment.errors import TrainingError
from review_sentiment.models.batching import token_budget_batches

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from review_sentiment.arms.encoder import Encoder

LEARNING_RATE = 2e-4
WEIGHT_DECAY = 0.01
WARMUP_FRACTION = 0.1
MAX_GRADIENT_NORM = 1.0
REVIEWS_PER_STEP = 32
TOKENS_PER_MICRO_BATCH = {"cpu": 1_024, "cuda": 16_384}
FROZEN_FRACTION = 2 / 3
"""Of the layers, the lower ones."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Rows:
    """Documents as tokens, and their targets [n, c]."""

    tokens: list[list[int]]
    targets: npt.NDArray[np.float64]

    @classmethod
    def of(cls, encoder: Encoder, found: LabelledDocuments) -> _Rows:
        return cls(encoder.tokenise(found.documents), found.targets)


def fit_tuned_encoder(
    encoder: Encoder, train: LabelledDocuments, validation: LabelledDocuments, seed: int, epochs: int
) -> EncoderClassifier:
    """Train the encoder, which is changed, and keep the epoch that is best on the validation reviews.

    Raises:
        TrainingError: the training diverged.
    """
    import torch

    rows = _Rows.of(encoder, train)
    held = _Rows.of(encoder, validation)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = torch.nn.Linear(encoder.model.config.hidden_size, len(train.labels)).to(encoder.model.device)
    _freeze_lower_layers(encoder.model)
    trained = [*(weight for weight in encoder.model.parameters() if weight.requires_grad), *head.parameters()]
    optimizer = torch.optim.AdamW(trained, LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = _warm_up_then_decay(optimizer, epochs * -(-len(train) // REVIEWS_PER_STEP))
    order = np.random.default_rng(seed)
    best: tuple[float, list[torch.Tensor]] = (np.inf, [])
    for epoch in range(epochs):
        shuffled = order.permutation(len(train))
        for start in range(0, len(train), REVIEWS_PER_STEP):
            _add_gradients(encoder, head, rows, shuffled[start : start + REVIEWS_PER_STEP])
            torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        loss = _loss(encoder, _linear(head, train.labels), held)
        logger.info("Epoch %d of %d: validation loss %.4f", epoch + 1, epochs, loss)
        if loss < best[0]:
            best = loss, [weight.detach().clone() for weight in trained]
    if not best[1]:
        raise TrainingError(
            "The tuned encoder did not converge: the validation loss is not a number in any epoch. Choose "
            "another encoder (arms.encoder), or leave this arm out."
        )
    with torch.no_grad():
        for weight, kept in zip(trained, best[1], strict=True):
            weight.copy_(kept)
    encoder.model.requires_grad_(False)
    return EncoderClassifier(encoder, _linear(head, train.labels), normalises=False)


def _freeze_lower_layers(model: torch.nn.Module) -> None:
    import torch

    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = max(lists, key=len)
    model.requires_grad_(False)
    layers[int(FROZEN_FRACTION * len(layers)) :].requires_grad_(True)


def _warm_up_then_decay(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """Return a schedule that is above zero at the first step and reaches zero after the last."""
    import torch

    warmup = max(1, round(WARMUP_FRACTION * steps))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    )


def _add_gradients(
    encoder: Encoder, head: torch.nn.Linear, rows: _Rows, batch: npt.NDArray[np.int64]
) -> None:
    """Add the gradients of the mean loss of a batch, micro-batch by micro-batch."""
    import torch

    device = encoder.model.device
    lengths = [len(rows.tokens[row]) for row in batch]
    for places in token_budget_batches(lengths, TOKENS_PER_MICRO_BATCH[device.type]):
        numbers = batch[places]
        logits = head(encoder.pooled([rows.tokens[number] for number in numbers]))
        targets = torch.from_numpy(rows.targets[numbers]).to(device, logits.dtype)
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum") / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]


def _linear(head: torch.nn.Linear, labels: tuple[str, ...]) -> LinearHead:
    weights, bias = (weight.detach().double().cpu().numpy() for weight in (head.weight, head.bias))
    return LinearHead(labels, weights.copy(), bias.copy())


def _loss(encoder: Encoder, head: LinearHead, held: _Rows) -> float:
    """Return the mean cross-entropy with the targets."""
    found = head.log_probs(encoder.means(held.tokens))
    return float(-(held.targets * found).sum(1).mean())
