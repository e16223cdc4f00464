"""From a registered version to a small model that answers like it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from pydantic import BaseModel
from zenml import pipeline
from zenml.enums import ExecutionMode

from pipelines.wiring import prepare
from review_sentiment.config import Settings
from steps.ask_teacher import ask_teacher
from steps.compare_student import compare_student
from steps.evaluate_student import evaluate_student
from steps.format_chat import format_chat
from steps.ingest_reviews import ingest_reviews
from steps.read_unlabelled import read_unlabelled
from steps.register_student import register_student
from steps.split_reviews import split_reviews
from steps.train_student import train_student
from steps.unused_reviews import unused_reviews
from steps.validate_categories import validate_categories

NAME = "distill_student"
RUN_A_MODEL = ("ask_teacher", "train_student")
"""Steps that a stack with a GPU step operator sends to the GPU."""
STEPS = SimpleNamespace(
    format_chat=format_chat,
    ingest_reviews=ingest_reviews,
    split_reviews=split_reviews,
    validate_categories=validate_categories,
)


class Teacher(BaseModel, frozen=True):
    """A registered version, and the MLflow run of its training."""

    name: str
    version: str
    run_id: str


class ReviewsFile(BaseModel, frozen=True):
    """A file of reviews without labels; `content` is its hash, and columns are those asked for."""

    source: str
    content: str
    text_column: str | None
    title_column: str | None


@pipeline(name=NAME, execution_mode=ExecutionMode.FAIL_FAST)
def distill_student(
    settings: Settings,
    available: Sequence[str],
    revisions: Mapping[str, str],
    teacher: Teacher,
    file: ReviewsFile | None,
) -> None:
    """Let the teacher answer unlabelled reviews, and train, evaluate, compare and register its student.

    The reviews are prepared by the same steps as those of the teacher, so they come from the cache. Without a
    file, the teacher answers what the splits left over.
    """
    s, seed, student = settings, settings.seed, settings.student
    made = prepare(STEPS, settings, available, revisions)
    if file is None:
        unlabelled = unused_reviews(
            made.reviews,
            s.split,
            composition=s.training.composition,
            natural_interval=s.evaluation.natural_interval,
            seed=seed,
            most=student.reviews,
        )
    else:
        unlabelled = read_unlabelled(
            made.decision, made.evaluation, **file.model_dump(), seed=seed, most=student.reviews
        )
    answers = ask_teacher(
        unlabelled,
        made.evaluation,
        teacher=teacher.name,
        version=teacher.version,
        run_id=teacher.run_id,
        model=s.model.without_head(),
    )
    trained = train_student(
        made.train_chats,
        made.validation_chats,
        answers,
        student,
        s.tracking,
        seed=seed,
        **s.arms.encoder_of(student.kind),
    )
    found = evaluate_student(trained, **made.held_out, decision=s.decision)
    verdict, recorded = compare_student(trained, found, made.evaluation_chats, settings=student)
    register_student(
        trained,
        verdict,
        found,
        recorded,
        reviews=made.reviews,
        train=made.train,
        evaluation=made.evaluation,
        data=s.data,
        tracking=s.tracking,
        settings=student,
    )
