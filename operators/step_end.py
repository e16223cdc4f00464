"""How a step's process or container ends: the time that it has to stop, and the error if it is killed."""

from __future__ import annotations

from review_sentiment.errors import ReviewSentimentError

SECONDS_TO_STOP = 120
"""A training that is stopped finishes its optimizer step and writes a checkpoint first."""


class StepKilledError(ReviewSentimentError):
    """A step was killed after its last restart."""

    def __init__(self, step: str, signal_name: str) -> None:
        super().__init__(
            f"Step {step} was killed ({signal_name}) after each start. The usual cause is that the machine "
            "ran out of memory: see `dmesg` there, stop other programs, or lower training.tokens_per_pass. "
            "The next run resumes from the checkpoint."
        )
