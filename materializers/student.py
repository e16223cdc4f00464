"""What a student is made from, and the trained student."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.directory import DirectoryMaterializer
from materializers.record import RecordMaterializer
from review_sentiment.arms.student import TrainedStudent
from review_sentiment.arms.teacher import TeacherAnswers, Unlabelled


class UnlabelledMaterializer(RecordMaterializer):
    """Reviews without labels."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Unlabelled,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def extract_metadata(self, data: Unlabelled) -> dict[str, MetadataType]:
        """Show the number of reviews."""
        return {"reviews": len(data)}


class TeacherAnswersMaterializer(RecordMaterializer):
    """Reviews with the teacher's probabilities."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (TeacherAnswers,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def extract_metadata(self, data: TeacherAnswers) -> dict[str, MetadataType]:
        """Show the teacher and the number of reviews."""
        return {"teacher": data.teacher, "reviews": len(data)}

    def save_visualizations(self, data: TeacherAnswers) -> dict[str, VisualizationType]:
        """Show the first rows."""
        return self.preview(data.frame, f"Answers of {data.teacher}")


class TrainedStudentMaterializer(DirectoryMaterializer):
    """The record, beside the student's files."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (TrainedStudent,)

    def extract_metadata(self, data: TrainedStudent) -> dict[str, MetadataType]:
        """Show the kind, the teacher, and the figures of the training."""
        return {
            "kind": data.kind,
            "teacher": data.teacher,
            "mlflow_run_id": data.run_id,
            "labelled_reviews": data.labelled,
            "answered_reviews": data.answered,
            "seconds": round(data.seconds, 1),
        }
