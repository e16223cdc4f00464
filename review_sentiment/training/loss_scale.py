"""The scale of the loss in FP16, on GPUs without BF16 such as a T4.

FP16 has no number below 6e-8, so small gradients would vanish. The loss is multiplied by a scale, and the
gradients are divided by it before the optimizer sees them. If a gradient exceeds FP16's largest number,
65,504, the scale was too large: that is normal, and no reason to stop.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

INITIAL_SCALE = 4_096.0
"""PyTorch starts at 65,536. At that scale the largest gradient of a first step was 63,994: whether it
overflowed was a coin toss."""
MAX_OVERFLOWS = 10
"""Halvings of the scale for one batch, to 4 at first: gradients that overflow even then are not finite."""

logger = logging.getLogger(__name__)


def loss_scaler(device: str) -> torch.amp.GradScaler:
    """Return the scaler of a training; checkpoints contain its state."""
    return torch.amp.GradScaler(device, INITIAL_SCALE)


def overflowed(scaler: torch.amp.GradScaler | None, optimizer: Any, model: torch.nn.Module) -> bool:
    """Return whether gradients overflowed; if so, halve the scale, so that the batch can be repeated.

    PyTorch's scaler would skip the optimizer step. If the batch is repeated instead, no step is lost: the
    LoRA proof, the curve and the learning rate have nothing to skip. All processes decide alike, because they
    have the same averaged gradients.
    """
    if scaler is None:
        return False
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    if torch.nn.utils.get_total_norm(gradients).isfinite():
        return False
    scaler.unscale_(optimizer.optimizer)  # notes that some are not finite, which `update` needs to know
    scaler.update()
    logger.warning(
        "The gradients overflowed in FP16: the batch is repeated with a loss scale of %g", scaler.get_scale()
    )
    return True
