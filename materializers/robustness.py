"""The effect of small changes of the reviews or the prompt on the tuned model."""

from typing import Any, ClassVar

from zenml.enums import VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.evaluation.robustness import Robustness


class RobustnessMaterializer(RecordMaterializer):
    """Each change, with the accuracy before and after it."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Robustness,)

    def extract_metadata(self, data: Robustness) -> dict[str, MetadataType]:
        """Show the changes in accuracy."""
        return {name: round(value, 5) for name, value in data.metrics().items()}

    def save_visualizations(self, data: Robustness) -> dict[str, VisualizationType]:
        """Show the table."""
        return self.page("robustness.md", f"{data.table()}\n")
