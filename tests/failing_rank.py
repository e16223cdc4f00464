"""A training process that may run out of memory, for tests: the second one, in micro-batches of many rows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from review_sentiment.training.processes import _work
from review_sentiment.training.trainer import AnswerTrainer

ROWS_THAT_FIT = "ROWS_THAT_FIT"


def main() -> None:
    """Train as any process does, but with room for ROWS_THAT_FIT rows in the second one."""
    if os.environ["RANK"] == "1":
        compute, most = AnswerTrainer.compute_loss, int(os.environ[ROWS_THAT_FIT])

        def short_of_memory(self, model, inputs, *args, **options):
            if len(inputs["input_ids"]) > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return compute(self, model, inputs, *args, **options)

        def no_memory(*_args, **_options):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        AnswerTrainer.compute_loss = short_of_memory
        if most == 0:  # not even for the optimizer: the first process does not see it, and waits
            AnswerTrainer.create_optimizer = no_memory
    _work(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
