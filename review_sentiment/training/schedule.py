"""The learning rate of each step: the schedules of transformers, without their lost first step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from trl import SFTConfig


def schedule_that_starts_above_zero(arguments: SFTConfig, optimizer: Optimizer, steps: int) -> LambdaLR:
    """Warm up over `warmup_steps` from above zero; from there on follow the schedule of transformers.

    With the warm-up of transformers, the first step has a learning rate of zero and learns nothing
    (transformers 5.23, https://github.com/huggingface/transformers/issues/34754). Here the first step has the
    heaviest batch, so it would waste the most. The schedules therefore start at their second step.
    """
    schedule = get_scheduler(
        arguments.lr_scheduler_type,
        optimizer,
        num_warmup_steps=arguments.get_warmup_steps(steps) + 1,
        num_training_steps=steps + 1,
    )
    return LambdaLR(schedule.optimizer, [_one_step_ahead(factor) for factor in schedule.lr_lambdas])


def _one_step_ahead(factor: Callable[[int], float]) -> Callable[[int], float]:
    return lambda step: factor(step + 1)
