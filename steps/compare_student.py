"""The gate of a student: compare it with its teacher and with the champion among the students."""

from typing import Annotated

from zenml import step

from materializers.decisions import VerdictMaterializer
from materializers.evaluation import EvaluationMaterializer
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.config import StudentSettings
from review_sentiment.data.chats import ChatDataset
from review_sentiment.evaluation.result import Evaluation
from review_sentiment.registry.gate import Verdict


# It takes seconds, so it always runs: the champion may have changed since.
@step(
    enable_cache=False,
    output_materializers={"verdict": VerdictMaterializer, "teacher": EvaluationMaterializer},
)
def compare_student(
    student: TrainedStudent,
    evaluation: Evaluation,
    evaluation_chats: ChatDataset,
    settings: StudentSettings,
) -> tuple[Annotated[Verdict, "verdict"], Annotated[Evaluation, "teacher"]]:
    """Return every gate check with its figures, and the evaluation of the teacher."""
    from review_sentiment.registry.champion import evaluate_student_champion, evaluation_of_teacher
    from review_sentiment.registry.student_gate import judge_student
    from review_sentiment.tracking import model_versions
    from steps.mlflow_connection import connect

    connect()
    version = model_versions.get_version(*student.teacher.rsplit("/", 1))
    teacher = evaluation_of_teacher(version, evaluation_chats)
    champion = evaluate_student_champion(settings.model_name, student.run_id, evaluation_chats)
    return judge_student(evaluation, teacher, champion, settings), teacher
