"""Evaluate a student on its teacher's evaluation reviews, under a decision rule of its own."""

from typing import Annotated

from zenml import step
from zenml.config.cache_policy import CachePolicy

from materializers.evaluation import EvaluationMaterializer
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.config import DecisionSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from steps.evaluate_arm import PACKAGES
from steps.source_fingerprint import fingerprint, installed


def depends_on() -> str:
    """Return a key that changes when an earlier result is stale."""
    return fingerprint(__name__, "evaluate_student", packages=(*PACKAGES, *installed("onnxruntime")))


@step(cache_policy=CachePolicy(cache_func=depends_on), output_materializers=EvaluationMaterializer)
def evaluate_student(
    student: TrainedStudent,
    evaluation_chats: ChatDataset,
    decision_chats: ChatDataset,
    decision: DecisionSettings,
) -> Annotated[Evaluation, "evaluation"]:
    """Return the evaluation of the saved student."""
    from review_sentiment.evaluation.arms import evaluate_saved
    from review_sentiment.evaluation.evaluate import HeldOut
    from review_sentiment.evaluation.result import under_own_rule
    from review_sentiment.tracking.mlflow_store import TUNED

    chats = HeldOut(evaluation_chats, decision_chats)
    found = evaluate_saved(TUNED, student.directory, chats, student.seconds)
    return under_own_rule(found, evaluation_chats, decision)
