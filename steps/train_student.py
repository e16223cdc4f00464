"""Train a student on the teacher's probabilities and the training reviews: opens its MLflow run."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.student import TrainedStudentMaterializer
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.arms.teacher import TeacherAnswers
from review_sentiment.config import StudentSettings, TrackingSettings
from review_sentiment.data.chats import ChatDataset
from steps.evaluate_arm import PACKAGES
from steps.source_fingerprint import fingerprint, installed


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "train_student", packages=(*PACKAGES, *installed("onnx", "onnxruntime")))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=TrainedStudentMaterializer)
def train_student(
    train: ChatDataset,
    validation: ChatDataset,
    answers: TeacherAnswers,
    student: StudentSettings,
    tracking: TrackingSettings,
    seed: int,
    encoder: str | None,
    encoder_revision: str | None,
) -> Annotated[TrainedStudent, "student"]:
    """Return the trained student, which names its MLflow run; `encoder` is None for kinds without one."""
    from zenml import get_step_context

    from review_sentiment.arms.arm import LabelledDocuments
    from review_sentiment.arms.encoder_source import identify_encoder
    from review_sentiment.arms.student import StudentTraining, fit_student
    from review_sentiment.settings_files import flat
    from review_sentiment.tracking.candidate import Candidate, RunDetails
    from review_sentiment.tracking.provenance import SOURCE_COMMIT
    from steps.directory_until_exit import directory_until_exit
    from steps.mlflow_connection import connect

    base = identify_encoder(encoder, encoder_revision) if encoder else None
    settings = {"seed": str(seed), "teacher": answers.teacher}
    settings |= {name: str(value) for name, value in flat(student, "student.").items()}
    connect()
    run = get_step_context().pipeline_run
    details = RunDetails(
        experiment=tracking.experiment,
        name=run.name,
        base=base,
        compute={},
        settings=settings,
        packages=PACKAGES,
        commit=run.config.extra[SOURCE_COMMIT],
    )
    candidate = Candidate.open(details, train)
    documents = LabelledDocuments.of(train)
    training = StudentTraining(documents, LabelledDocuments.of(validation), answers, base, seed)
    directory = directory_until_exit("student")
    with candidate.recording():
        fitted = fit_student(training, student, directory)
        candidate.log_summary(
            {"seconds": fitted.seconds, "labelled_reviews": len(train), "answered_reviews": len(answers)}
        )
    return TrainedStudent(
        directory=directory,
        kind=student.kind,
        teacher=answers.teacher,
        run_id=candidate.run_id,
        encoder=base,
        labelled=len(train),
        answered=len(answers),
        seconds=fitted.seconds,
        settings=settings,
        export=fitted.export,
    )
