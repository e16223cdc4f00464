"""Score many files of reviews on Ray, and answer them."""

from typing import Annotated

from zenml import step

from materializers.report import DataReportMaterializer
from materializers.scored import BulkResultMaterializer
from review_sentiment.arms.combination import Combination
from review_sentiment.config import ModelSettings
from review_sentiment.data.data_report import DataReport
from review_sentiment.scoring.answered_file import BulkResult


# The scores beside the output are the cache, chunk by chunk.
@step(
    enable_cache=False,
    output_materializers={"answered": BulkResultMaterializer, "drift": DataReportMaterializer},
)
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
) -> tuple[Annotated[BulkResult, "answered"], Annotated[DataReport, "drift"]]:
    """Write an output for each file of `source`; return counts, class shares and paths, and the drift.

    `address` is that of a Ray cluster; without one, Ray runs on this machine. The other parameters are those
    of `score_file` and `answer_file`.
    """
    import tempfile
    from pathlib import Path

    from review_sentiment.arms.version_scorer import PackedVersion
    from review_sentiment.scoring.answered_file import drift_of
    from review_sentiment.scoring.bulk_scoring import ScoringJob
    from review_sentiment.scoring.column_choice import ColumnChoice
    from review_sentiment.scoring.file_set import RayCluster, answer_files, check_inputs
    from review_sentiment.scoring.file_set import score_files as scores_of
    from review_sentiment.scoring.version_files import load_columns, load_rule
    from review_sentiment.tracking import model_versions
    from steps.mlflow_connection import connect

    connect()
    with tempfile.TemporaryDirectory(prefix="review-sentiment-score-") as scratch:
        found = model_versions.get_version(name, version)
        files = model_versions.download_files(found, Path(scratch) / "version")
        columns = ColumnChoice(text_column, title_column, load_columns(files))
        job = ScoringJob(Path(source), Path(output), version, load_rule(files), columns)
        computed = f"{name}, run {run_id}, {model.precision}"
        student_files = None
        if combination is not None:
            student = model_versions.get_version(combination.student_name, combination.student_version)
            student_files = model_versions.download_files(student, Path(scratch) / "student")
            job, computed = combination.applied_to(job), f"{computed}, {combination.identity}"
        packed = PackedVersion.of(files, student_files, combination, model.precision)
        inputs = check_inputs(source, job.output)
        scored = scores_of(job, inputs, computed, packed.load, RayCluster(address, model.device))
        result = answer_files(job, scored, prior)
        return result, drift_of(result, files)
