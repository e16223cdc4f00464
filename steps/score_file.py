"""Score a file of reviews with a registered version."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.scored import FileScoresMaterializer
from review_sentiment.arms.combination import Combination
from review_sentiment.config import ModelSettings
from review_sentiment.scoring.bulk_scoring import FileScores
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "score_file", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=FileScoresMaterializer)
def score_file(
    source: str,
    content: str,  # noqa: ARG001 - part of the cache key
    output: str,
    name: str,
    version: str,
    run_id: str,
    model: ModelSettings,
    text_column: str | None,
    title_column: str | None,
    combination: Combination | None = None,
) -> Annotated[FileScores, "scores"]:
    """Return the labels' log-probabilities of every row.

    `content` is a hash of the file. It only invalidates the cache: a changed file is scored again. `run_id`
    is that of the version, because another registry gives the same numbers. Parts are kept beside `output`.
    The columns are those asked for; None for those of the version's training. `combination` says how a
    student answers with the version, if one does.
    """
    import tempfile
    from pathlib import Path

    from review_sentiment.arms.version_scorer import combined_scorer, version_scorer
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.scoring.bulk_scoring import ScoringJob
    from review_sentiment.scoring.bulk_scoring import score_file as scores_of
    from review_sentiment.scoring.column_choice import ColumnChoice
    from review_sentiment.scoring.version_files import load_columns, load_rule
    from review_sentiment.tracking import model_versions
    from steps.mlflow_connection import connect

    connect()
    with tempfile.TemporaryDirectory(prefix="review-sentiment-score-") as scratch:
        found = model_versions.get_version(name, version)
        files = model_versions.download_files(found, Path(scratch) / "version")
        plan = plan_compute(model.device, model.precision)
        columns = ColumnChoice(text_column, title_column, load_columns(files))
        job = ScoringJob(Path(source), Path(output), version, load_rule(files), columns)
        computed = f"{name}, run {run_id}, {plan.device}, {plan.precision}"
        if combination is None:
            return scores_of(job, computed, lambda: version_scorer(files, plan))
        student = model_versions.get_version(combination.student_name, combination.student_version)
        student_files = model_versions.download_files(student, Path(scratch) / "student")
        return scores_of(
            combination.applied_to(job),
            f"{computed}, {combination.identity}",
            lambda: combined_scorer(files, student_files, combination, plan),
        )
