"""Answer a scored file of reviews, and compare them with the training reviews."""

from typing import Annotated

from zenml import step

from materializers.report import DataReportMaterializer
from materializers.scored import BulkResultMaterializer
from review_sentiment.arms.scoring_request import ScoringRequest
from review_sentiment.data.data_report import DataReport
from review_sentiment.scoring.answered_file import BulkResult
from review_sentiment.scoring.bulk_scoring import FileScores


# It takes seconds, so it always runs: the output is right whatever has become of the earlier one.
@step(
    enable_cache=False,
    output_materializers={"answered": BulkResultMaterializer, "drift": DataReportMaterializer},
)
def answer_file(
    scores: FileScores, request: ScoringRequest, prior: str
) -> tuple[Annotated[BulkResult, "answered"], Annotated[DataReport, "drift"]]:
    """Write the output; return counts, class shares and paths, and the drift from the training reviews.

    `prior` says which class shares the answers are for.
    """
    from review_sentiment.scoring.answered_file import answer_file as write_answers
    from review_sentiment.scoring.answered_file import drift_of
    from steps.version_download import downloaded

    with downloaded(request, with_student=False) as (files, _):
        result = write_answers(request.job(files), scores, prior)
        return result, drift_of(result, files)
