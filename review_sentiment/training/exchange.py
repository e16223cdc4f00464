"""What the processes of one training tell each other at each step. A single process has nothing to exchange.

DDP would exchange gradients in the middle of the backward pass, bucket by bucket. A process that runs out of
memory there has exchanged some buckets and not others, and the rest would wait for it until a timeout of half
an hour. So each process finishes its batch first. Then all of them exchange how it went, and their gradients.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator  # type: ignore[import-untyped]


class Shortage(IntEnum):
    """What did not fit into memory: nothing, a micro-batch that can be smaller, or a single row."""

    NONE = 0
    OF_MICRO_BATCH = 1
    OF_ONE_ROW = 2


def worst_of_all(accelerator: Accelerator, own: Shortage) -> Shortage:
    """Return the worst shortage of all processes."""
    if accelerator.num_processes == 1:
        return own
    found = torch.zeros(len(Shortage), device=accelerator.device)
    found[own] = 1
    return Shortage(int(accelerator.reduce(found).nonzero().max()))


def average_gradients(accelerator: Accelerator, model: torch.nn.Module) -> None:
    """Replace the gradients by their mean over the processes, in a single exchange of all adapters."""
    if accelerator.num_processes == 1:
        return
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for adapter in adapters:
        if adapter.grad is None:  # the vectors of all processes must have the same parts
            adapter.grad = torch.zeros_like(adapter)
    gradients = [adapter.grad for adapter in adapters if adapter.grad is not None]
    # 42 million numbers for an 8B at rank 16: 0.17 GB.
    mean = accelerator.reduce(torch.nn.utils.parameters_to_vector(gradients), "mean")
    torch.nn.utils.vector_to_parameters(mean, gradients)
