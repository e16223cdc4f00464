"""Evaluations: metrics, predictions and samples."""

from dataclasses import replace
from typing import Any, ClassVar

from zenml.enums import VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.evaluation.examples_page import examples_page
from review_sentiment.evaluation.result import Evaluation

DOTS_PER_INCH = 120


class EvaluationMaterializer(RecordMaterializer):
    """The metrics of a model, and the tables behind them."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Evaluation,)

    def compute_content_hash(self, data: Evaluation) -> str:
        """Hash the evaluation without its cost: a timing is not a reason to run later steps again."""
        return super().compute_content_hash(replace(data, cost=None))

    def extract_metadata(self, data: Evaluation) -> dict[str, MetadataType]:
        """Show the main metrics and their intervals."""
        figures = data.metrics.headline() | data.metrics.interval_ends() | data.audit.figures()
        shown: dict[str, MetadataType] = {name: round(value, 5) for name, value in figures.items()}
        shown |= {"cost": data.cost.figures()} if data.cost else {}
        return shown | ({"natural": data.natural.as_json()} if data.natural else {})

    def save_visualizations(self, data: Evaluation) -> dict[str, VisualizationType]:
        """Show the confusion matrix, the quality of the probabilities, and the samples."""
        from review_sentiment.evaluation.figures import figures_of

        shown = {}
        for name, figure in figures_of(data).items():
            picture = self.path(f"{name}.png")
            with self.artifact_store.open(picture, "wb") as file:
                figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
            shown[picture] = VisualizationType.IMAGE
        return shown | (self.page("samples.html", examples_page(data)) if len(data.examples) else {})
