"""From many files of reviews to the same files with labels, on Ray."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from review_sentiment.arms.scoring_request import ScoringRequest
from steps.score_files import score_files as score_files_step

NAME = "score_files"


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def score_files(request: ScoringRequest, prior: str, address: str | None = None) -> None:
    """Score the files of an input with a registered version, and with its student if there is one."""
    score_files_step(request, prior, address)
