"""Let a registered version answer reviews without labels."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.student import TeacherAnswersMaterializer
from review_sentiment.arms.teacher import TeacherAnswers, Unlabelled
from review_sentiment.config import ModelSettings
from review_sentiment.data.review_table import ReviewTable
from steps.evaluate import PACKAGES
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "ask_teacher", packages=PACKAGES)


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=TeacherAnswersMaterializer)
def ask_teacher(
    unlabelled: Unlabelled,
    evaluation: ReviewTable,
    teacher: str,
    version: str,
    run_id: str,  # noqa: ARG001 - part of the cache key: another registry gives the same numbers
    model: ModelSettings,
) -> Annotated[TeacherAnswers, "answers"]:
    """Return the probability of each label; `evaluation` has the reviews that a student is evaluated on."""
    import tempfile
    from pathlib import Path

    from review_sentiment.arms.teacher import ask_teacher as answers_of
    from review_sentiment.arms.version_scorer import version_scorer
    from review_sentiment.models.compute import plan_compute
    from review_sentiment.registry.lineage import require_evaluated_on
    from review_sentiment.tracking import downloads, model_versions
    from steps.mlflow_connection import connect

    connect()
    found = model_versions.get_version(teacher, version)
    require_evaluated_on(found, evaluation)
    with tempfile.TemporaryDirectory(prefix="review-sentiment-teacher-") as scratch:
        files = downloads.download_files(found, Path(scratch))
        scorer = version_scorer(files, plan_compute(model.device, model.precision))
        return answers_of(scorer, found.title, unlabelled)
