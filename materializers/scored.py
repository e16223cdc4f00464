"""What became of a file that was scored."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import RecordMaterializer
from review_sentiment.scoring.bulk_scoring import BulkResult


class BulkResultMaterializer(RecordMaterializer):
    """Counts and places; the rows are in the output file."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (BulkResult,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def extract_metadata(self, data: BulkResult) -> dict[str, MetadataType]:
        """Show counts and version."""
        return {
            "rows": data.rows,
            "failed": data.failed,
            "labels": dict(data.labels),
            "model_version": data.model_version,
            "output": data.output,
        }
