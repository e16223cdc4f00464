"""Register a student in MLflow: as champion of the students if it passed the gate, else as challenger."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.decisions import RegisteredVersionMaterializer
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.config import DataSettings, StudentSettings, TrackingSettings
from review_sentiment.data.review_table import Reviews, ReviewTable
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Verdict
from review_sentiment.registry.model_card import RegisteredVersion
from review_sentiment.registry.student_card import TEMPLATE
from steps.source_fingerprint import fingerprint


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "register_student", packages=("mlflow",), files=(TEMPLATE,))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=RegisteredVersionMaterializer)
def register_student(
    student: TrainedStudent,
    verdict: Verdict,
    found: Evaluation,
    teacher: Evaluation,
    *,
    reviews: list[Reviews],
    train: ReviewTable,
    evaluation: ReviewTable,
    data: DataSettings,
    tracking: TrackingSettings,
    settings: StudentSettings,
) -> Annotated[RegisteredVersion, "registered"]:
    """Return the version; its evaluation has an MLflow run of its own, below that of its training."""
    from zenml import get_step_context

    from review_sentiment.data.columns import review_columns
    from review_sentiment.data.labels import scheme_of
    from review_sentiment.registry.gate import Evaluations
    from review_sentiment.registry.judged import Judged
    from review_sentiment.registry.licences import data_licence
    from review_sentiment.registry.registration import register
    from review_sentiment.registry.student_model import StudentModel
    from review_sentiment.tracking.provenance import SETTINGS
    from steps.lineage import lineage_of, record_version
    from steps.mlflow_connection import connect

    connect()
    context = get_step_context()
    lineage = lineage_of(context, "student", data.source, reviews, train, evaluation)
    if found.rule is None:
        raise ValueError("a student is registered with its decision rule")
    model = StudentModel(
        student=student,
        settings=context.pipeline_run.config.extra[SETTINGS],
        lineage=lineage,
        data_licence=data_licence(data.source),
        scheme=scheme_of(data.labels),
        train=train,
        evaluation=evaluation,
        rule=found.rule,
        columns=review_columns(data.columns),
    )
    judged = Judged(verdict, Evaluations(found, (teacher,)), model, {})
    version = register(settings.model_name, tracking.experiment, judged)
    record_version(version, lineage)
    return version
