"""From a file of reviews to the same file with labels."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from review_sentiment.arms.combination import Combination
from review_sentiment.config import ModelSettings
from steps.answer_file import answer_file
from steps.score_file import score_file

NAME = "score_reviews"


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def score_reviews(
    source: str,
    content: str,
    output: str,
    name: str,
    version: str,
    run_id: str,
    prior: str,
    model: ModelSettings,
    text_column: str | None = None,
    title_column: str | None = None,
    combination: Combination | None = None,
) -> None:
    """Score a file with a registered version, and with its student if there is a combination.

    `content` is a hash of the file, `run_id` the version's run.
    """
    scores = score_file(
        source, content, output, name, version, run_id, model, text_column, title_column, combination
    )
    answer_file(scores, source, output, name, version, prior, combination)
