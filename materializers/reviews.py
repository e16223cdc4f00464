"""Review tables."""

from dataclasses import dataclass
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import FilesMaterializer
from materializers.json_files import to_json
from materializers.tables import content_hash, preview
from review_sentiment.data.review_table import ReviewTable

ROWS_FILE = "reviews.parquet"
COUNTS_FILE = "counts.json"


class ReviewTableMaterializer(FilesMaterializer):
    """Rows as parquet, counts as JSON."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ReviewTable,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def load(self, data_type: type[Any]) -> ReviewTable:
        """Read the table."""
        counts = self.read_json(COUNTS_FILE, Counts)
        return ReviewTable(self.read_table(ROWS_FILE), counts.read, counts.dropped, counts.stars)

    def save(self, data: ReviewTable) -> None:
        """Write the table."""
        self.write_table(ROWS_FILE, data.frame)
        self.write_json(COUNTS_FILE, _counts(data))

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
            "stars": {str(stars): count for stars, count in data.stars.items()},
        }

    def save_visualizations(self, data: ReviewTable) -> dict[str, VisualizationType]:
        """Show the first rows."""
        page = preview(data.frame, f"{len(data)} reviews, {data.read} read")
        return {self.write_text("preview.html", page): VisualizationType.HTML}


@dataclass(frozen=True)
class Counts:
    """What a table knows besides its rows."""

    read: int
    dropped: dict[str, int]
    stars: dict[int, int]


def _counts(data: ReviewTable) -> Counts:
    return Counts(data.read, dict(data.dropped), dict(data.stars))
