"""Chat data sets."""

import os
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.json_files import read_json, write_json
from materializers.tables import content_hash, preview, read_table, write_table
from review_sentiment.chats import ChatDataset

ROWS_FILE = "chats.parquet"
LABELS_FILE = "labels.json"


class ChatDatasetMaterializer(BaseMaterializer):
    """Rows as parquet, labels as JSON."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ChatDataset,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def load(self, data_type: type[Any]) -> ChatDataset:
        """Read the chats."""
        labels = read_json(self.artifact_store, self._path(LABELS_FILE), list[str])
        return ChatDataset(read_table(self.artifact_store, self._path(ROWS_FILE)), tuple(labels))

    def save(self, data: ChatDataset) -> None:
        """Write the chats."""
        write_table(self.artifact_store, self._path(ROWS_FILE), data.frame)
        write_json(self.artifact_store, self._path(LABELS_FILE), list(data.labels))

    def compute_content_hash(self, data: ChatDataset) -> str:
        """Hash rows and labels."""
        return content_hash(data.frame, *data.labels)

    def extract_metadata(self, data: ChatDataset) -> dict[str, MetadataType]:
        """Show the token statistics."""
        return dict(data.token_statistics())

    def save_visualizations(self, data: ChatDataset) -> dict[str, VisualizationType]:
        """Show the first chats as the model reads them."""
        path = self._path("preview.html")
        shown = data.frame[["prompt", "completion", "category", "stars", "total_tokens"]]
        with self.artifact_store.open(path, "w") as file:
            file.write(preview(shown, f"{len(data)} chats"))
        return {path: VisualizationType.HTML}

    def _path(self, name: str) -> str:
        return os.path.join(self.uri, name)
