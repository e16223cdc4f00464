"""The scores of a file, and the result of answering it."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.scoring.answered_file import BulkResult
from review_sentiment.scoring.bulk_scoring import FileScores


class FileScoresMaterializer(RecordMaterializer):
    """The labels' log-probabilities of every row."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (FileScores,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def extract_metadata(self, data: FileScores) -> dict[str, MetadataType]:
        """Show the number of rows."""
        return {"rows": len(data.log_probs)}


class BulkResultMaterializer(RecordMaterializer):
    """Counts, class shares and paths; the rows are in the output file."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (BulkResult,)

    def extract_metadata(self, data: BulkResult) -> dict[str, MetadataType]:
        """Show the counts, the estimated shares and the version."""
        return {
            "rows": data.rows,
            "failed": data.failed,
            "unsure": data.unsure.rows if data.unsure else 0,
            "labels": dict(data.labels),
            "shares": {label: share.estimate for label, share in data.shares.items()},
            "model_version": data.model_version,
            "answered_by": dict(data.answered_by),
            "output": data.output,
        }
