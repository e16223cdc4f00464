"""Chat data sets."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import FilesMaterializer
from materializers.tables import content_hash, preview
from review_sentiment.data.chats import ChatDataset

ROWS_FILE = "chats.parquet"
LABELS_FILE = "labels.json"


class ChatDatasetMaterializer(FilesMaterializer):
    """Rows as parquet, labels as JSON."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ChatDataset,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def load(self, data_type: type[Any]) -> ChatDataset:
        """Read the chats."""
        labels = self.read_json(LABELS_FILE, list[str])
        return ChatDataset(self.read_table(ROWS_FILE), tuple(labels))

    def save(self, data: ChatDataset) -> None:
        """Write the chats."""
        self.write_table(ROWS_FILE, data.frame)
        self.write_json(LABELS_FILE, list(data.labels))

    def compute_content_hash(self, data: ChatDataset) -> str:
        """Hash rows and labels."""
        return content_hash(data.frame, *data.labels)

    def extract_metadata(self, data: ChatDataset) -> dict[str, MetadataType]:
        """Show the token statistics."""
        return dict(data.token_statistics())

    def save_visualizations(self, data: ChatDataset) -> dict[str, VisualizationType]:
        """Show the first chats as the model reads them."""
        shown = data.frame[["prompt", "completion", "category", "stars", "total_tokens"]]
        page = preview(shown, f"{len(data)} chats")
        return {self.write_text("preview.html", page): VisualizationType.HTML}
