"""From a file of reviews to the same file with labels."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from review_sentiment.arms.scoring_request import ScoringRequest
from steps.answer_file import answer_file
from steps.score_file import score_file

NAME = "score_reviews"


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def score_reviews(request: ScoringRequest, content: str, prior: str) -> None:
    """Score a file with a registered version, and with its student if there is one."""
    answer_file(score_file(request, content), request, prior)
