"""How a step's process or container ends: the time that it gets, and what is said where it was killed."""

from __future__ import annotations

from review_sentiment.errors import ReviewSentimentError

SECONDS_TO_END = 120
"""A training that is told to end finishes its optimiser step and writes a checkpoint first."""


class StepKilledError(ReviewSentimentError):
    """A step was killed once more than it may be started again."""

    def __init__(self, step: str, how: str) -> None:
        super().__init__(
            f"Step {step} was killed ({how}) each time that it was started. Mostly the machine's memory has "
            "run out: see `dmesg` there, end other programs, or lower training.tokens_per_pass. "
            "The next run goes on from the checkpoint."
        )
