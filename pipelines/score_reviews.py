"""From a file of reviews to the same file with labels."""

from zenml import pipeline

from review_sentiment.config import ModelSettings
from steps.score_file import score_file

NAME = "score_reviews"


@pipeline(name=NAME)
def score_reviews(
    source: str, content: str, output: str, name: str, version: str, model: ModelSettings
) -> None:
    """Score a file with a registered version; `content` is a hash of the file."""
    score_file(source, content, output, name, version, model)
