"""Review tables and chats."""

from typing import Any, ClassVar, cast

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.data.chats import ChatDataset
from review_sentiment.data.review_table import Reviews, ReviewTable
from review_sentiment.data.stored_reviews import StoredReviews


class ReviewTableMaterializer(RecordMaterializer):
    """Reviews, and the counts of dropped rows."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ReviewTable,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def load(self, data_type: type[Any]) -> Reviews:
        """Read the reviews, or only their counts if a step asks for `Reviews`: it reads what it needs."""
        if data_type is not Reviews:
            return cast("ReviewTable", super().load(data_type))
        rows = self.table_path("frame")
        return StoredReviews(lambda: self.artifact_store.open(rows, "rb"), **self.without_tables())

    def extract_metadata(self, data: ReviewTable) -> dict[str, MetadataType]:
        """Show the numbers of rows, and of dropped rows by reason."""
        return {
            "rows": len(data),
            "read": data.read,
            "labels": dict(data.class_counts()),
            "dropped": dict(data.dropped),
            "categories": {one.category: {"read": one.read, "kept": one.kept} for one in data.counts},
        }

    def save_visualizations(self, data: ReviewTable) -> dict[str, VisualizationType]:
        """Show the first reviews."""
        return self.preview(data.frame, f"{len(data)} reviews, {data.read} read")


class ChatDatasetMaterializer(RecordMaterializer):
    """Chats, and the labels that the model can answer."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ChatDataset,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def extract_metadata(self, data: ChatDataset) -> dict[str, MetadataType]:
        """Show the token statistics."""
        return dict(data.token_statistics())

    def save_visualizations(self, data: ChatDataset) -> dict[str, VisualizationType]:
        """Show the first chats as the model reads them."""
        shown = data.frame[["prompt", "completion", "category", "source_label", "total_tokens"]]
        return self.preview(shown, f"{len(data)} chats")
