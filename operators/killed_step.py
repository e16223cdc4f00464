"""What is said of a step whose process or container was killed once more than it may be started again."""

from __future__ import annotations

from review_sentiment.errors import ReviewSentimentError


class StepKilledError(ReviewSentimentError):
    """A step was killed each time that it was started."""

    def __init__(self, step: str, how: str) -> None:
        super().__init__(
            f"Step {step} was killed ({how}) each time that it was started. Mostly the machine's memory has "
            "run out: see `dmesg` there, end other programs, or lower training.tokens_per_pass. "
            "The next run goes on from the checkpoint."
        )
