"""Review tables."""

import os
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.json_files import read_json, to_json, write_json
from materializers.tables import content_hash, preview, read_table, write_table
from review_sentiment.reviews import ReviewTable

ROWS_FILE = "reviews.parquet"
COUNTS_FILE = "counts.json"


class ReviewTableMaterializer(BaseMaterializer):
    """Rows as parquet, counts as JSON."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ReviewTable,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def load(self, data_type: type[Any]) -> ReviewTable:
        """Read the table."""
        counts = read_json(self.artifact_store, self._path(COUNTS_FILE), dict[str, int])
        read = counts.pop("read")
        return ReviewTable(read_table(self.artifact_store, self._path(ROWS_FILE)), read, counts)

    def save(self, data: ReviewTable) -> None:
        """Write the table."""
        write_table(self.artifact_store, self._path(ROWS_FILE), data.frame)
        write_json(self.artifact_store, self._path(COUNTS_FILE), _counts(data))

    def compute_content_hash(self, data: ReviewTable) -> str:
        """Hash rows and counts."""
        return content_hash(data.frame, to_json(_counts(data)))

    def extract_metadata(self, data: ReviewTable) -> dict[str, MetadataType]:
        """Show sizes, and what was dropped by reason."""
        return {
            "rows": len(data),
            "read": data.read,
            "labels": dict(data.class_counts()),
            "dropped": dict(data.dropped),
        }

    def save_visualizations(self, data: ReviewTable) -> dict[str, VisualizationType]:
        """Show the first rows."""
        path = self._path("preview.html")
        with self.artifact_store.open(path, "w") as file:
            file.write(preview(data.frame, f"{len(data)} reviews, {data.read} read"))
        return {path: VisualizationType.HTML}

    def _path(self, name: str) -> str:
        return os.path.join(self.uri, name)


def _counts(data: ReviewTable) -> dict[str, int]:
    return {"read": data.read, **data.dropped}
