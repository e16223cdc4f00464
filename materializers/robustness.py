"""What small changes do to the tuned model."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import RecordMaterializer
from review_sentiment.evaluation.robustness import Robustness


class RobustnessMaterializer(RecordMaterializer):
    """Every change with the accuracy before and after it."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Robustness,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def extract_metadata(self, data: Robustness) -> dict[str, MetadataType]:
        """Show the changes in accuracy."""
        return {name: round(value, 5) for name, value in data.metrics().items()}

    def save_visualizations(self, data: Robustness) -> dict[str, VisualizationType]:
        """Show the table."""
        return {self.write_text("robustness.md", f"{data.table()}\n"): VisualizationType.MARKDOWN}
