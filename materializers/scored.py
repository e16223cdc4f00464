"""The result of scoring a file."""

from typing import Any, ClassVar

from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.scoring.bulk_scoring import BulkResult


class BulkResultMaterializer(RecordMaterializer):
    """Counts and paths; the rows are in the output file."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (BulkResult,)

    def extract_metadata(self, data: BulkResult) -> dict[str, MetadataType]:
        """Show the counts and the version."""
        return {
            "rows": data.rows,
            "failed": data.failed,
            "labels": dict(data.labels),
            "model_version": data.model_version,
            "output": data.output,
        }
