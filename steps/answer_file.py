"""Answer a scored file of reviews, and compare them with the training reviews."""

from typing import Annotated

from zenml import step

from materializers.report import DataReportMaterializer
from materializers.scored import BulkResultMaterializer
from review_sentiment.arms.combination import Combination
from review_sentiment.data.data_report import DataReport
from review_sentiment.scoring.answered_file import BulkResult
from review_sentiment.scoring.bulk_scoring import FileScores


# It takes seconds, so it always runs: the output is right whatever has become of the earlier one.
@step(
    enable_cache=False,
    output_materializers={"answered": BulkResultMaterializer, "drift": DataReportMaterializer},
)
def answer_file(
    scores: FileScores,
    source: str,
    output: str,
    name: str,
    version: str,
    prior: str,
    combination: Combination | None = None,
) -> tuple[Annotated[BulkResult, "answered"], Annotated[DataReport, "drift"]]:
    """Write the output; return counts, class shares and paths, and the drift from the training reviews.

    `prior` says which class shares the answers are for, `combination` how a student answered with the
    version, if one did.
    """
    import tempfile
    from pathlib import Path

    from review_sentiment.scoring.answered_file import answer_file as write_answers
    from review_sentiment.scoring.answered_file import drift_of
    from review_sentiment.scoring.bulk_scoring import ScoringJob
    from review_sentiment.scoring.version_files import load_rule
    from review_sentiment.tracking import model_versions
    from steps.mlflow_connection import connect

    connect()
    with tempfile.TemporaryDirectory(prefix="review-sentiment-answer-") as scratch:
        found = model_versions.get_version(name, version)
        files = model_versions.download_files(found, Path(scratch))
        job = ScoringJob(Path(source), Path(output), version, load_rule(files))
        result = write_answers(combination.applied_to(job) if combination else job, scores, prior)
        return result, drift_of(result, files)
