"""From many files of reviews to the same files with labels, on Ray."""

from zenml import pipeline
from zenml.enums import ExecutionMode

from review_sentiment.arms.combination import Combination
from review_sentiment.config import ModelSettings
from steps.score_files import score_files as score_files_step

NAME = "score_files"


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def score_files(
    source: str,
    output: str,
    name: str,
    version: str,
    run_id: str,
    prior: str,
    model: ModelSettings,
    address: str | None = None,
    text_column: str | None = None,
    title_column: str | None = None,
    combination: Combination | None = None,
) -> None:
    """Score the files of an input with a registered version, and with its student if there is one."""
    score_files_step(
        source,
        output,
        name,
        version,
        run_id,
        prior,
        model,
        address,
        text_column,
        title_column,
        combination,
    )
