"""Evaluations: metrics, predictions and samples."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import FilesMaterializer
from materializers.json_files import to_json
from materializers.tables import content_hash, preview
from review_sentiment.metrics import Evaluation, Metrics

METRICS_FILE = "metrics.json"
MODEL_FILE = "model.json"
PREDICTIONS_FILE = "predictions.parquet"
SAMPLES_FILE = "samples.parquet"


class EvaluationMaterializer(FilesMaterializer):
    """Metrics as JSON, tables as parquet."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Evaluation,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def load(self, data_type: type[Any]) -> Evaluation:
        """Read the evaluation."""
        return Evaluation(
            model=self.read_json(MODEL_FILE, str),
            metrics=self.read_json(METRICS_FILE, Metrics),
            predictions=self.read_table(PREDICTIONS_FILE),
            samples=self.read_table(SAMPLES_FILE),
        )

    def save(self, data: Evaluation) -> None:
        """Write the evaluation."""
        self.write_json(MODEL_FILE, data.model)
        self.write_json(METRICS_FILE, data.metrics)
        self.write_table(PREDICTIONS_FILE, data.predictions)
        self.write_table(SAMPLES_FILE, data.samples)

    def compute_content_hash(self, data: Evaluation) -> str:
        """Hash the predictions, the samples and the metrics."""
        samples = content_hash(data.samples)
        return content_hash(data.predictions, data.model, to_json(data.metrics), samples)

    def extract_metadata(self, data: Evaluation) -> dict[str, MetadataType]:
        """Show the headline figures."""
        return {name: round(value, 5) for name, value in data.metrics.headline().items()}

    def save_visualizations(self, data: Evaluation) -> dict[str, VisualizationType]:
        """Show the confusion matrix and the samples."""
        from review_sentiment.plots import confusion_figure

        page = preview(data.samples, f"{data.model}: sample predictions")
        samples, picture = self.write_text("samples.html", page), self.path("confusion_matrix.png")
        with self.artifact_store.open(picture, "wb") as file:
            confusion_figure(data).savefig(file, format="png", dpi=120)
        return {picture: VisualizationType.IMAGE, samples: VisualizationType.HTML}
