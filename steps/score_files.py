"""Score many files of reviews on Ray, and answer them."""

from typing import Annotated

from zenml import step

from materializers.report import DataReportMaterializer
from materializers.scored import BulkResultMaterializer
from review_sentiment.arms.scoring_request import ScoringRequest
from review_sentiment.data.data_report import DataReport
from review_sentiment.scoring.answered_file import BulkResult


# The scores beside the output are the cache, chunk by chunk.
@step(
    enable_cache=False,
    output_materializers={"answered": BulkResultMaterializer, "drift": DataReportMaterializer},
)
def score_files(
    request: ScoringRequest, prior: str, address: str | None = None
) -> tuple[Annotated[BulkResult, "answered"], Annotated[DataReport, "drift"]]:
    """Write an output for each file; return counts, class shares and paths, and the drift.

    `prior` says which class shares the answers are for. `address` is that of a Ray cluster; without one, Ray
    runs on this machine.
    """
    from review_sentiment.arms.version_scorer import PackedVersion
    from review_sentiment.scoring.answered_file import drift_of
    from review_sentiment.scoring.file_set import RayCluster, answer_files, check_inputs
    from review_sentiment.scoring.file_set import score_files as scores_of
    from steps.version_download import downloaded

    with downloaded(request) as (files, student):
        job, model = request.job(files), request.model
        packed = PackedVersion.of(files, student, request.combination, model.precision)
        inputs = check_inputs(request.source, job.output)
        computed = request.identity(model.precision)
        scored = scores_of(job, inputs, computed, packed.load, RayCluster(address, model.device))
        result = answer_files(job, request.source, scored, prior)
        return result, drift_of(result, files)
