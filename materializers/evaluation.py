"""Evaluations: metrics, predictions and samples."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import FilesMaterializer
from materializers.json_files import to_json
from materializers.tables import content_hash
from review_sentiment.evaluation.audit import Audit
from review_sentiment.evaluation.examples_page import examples_page
from review_sentiment.evaluation.metrics import Metrics
from review_sentiment.evaluation.result import Evaluation

METRICS_FILE = "metrics.json"
MODEL_FILE = "model.json"
PREDICTIONS_FILE = "predictions.parquet"
SAMPLES_FILE = "samples.parquet"
SLICES_FILE = "slices.parquet"
EXAMPLES_FILE = "examples.parquet"
AUDIT_FILE = "audit.json"
DOTS_PER_INCH = 120


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
            slices=self.read_table(SLICES_FILE),
            audit=self.read_json(AUDIT_FILE, Audit),
            examples=self.read_table(EXAMPLES_FILE),
        )

    def save(self, data: Evaluation) -> None:
        """Write the evaluation."""
        self.write_json(MODEL_FILE, data.model)
        self.write_json(METRICS_FILE, data.metrics)
        self.write_table(PREDICTIONS_FILE, data.predictions)
        self.write_table(SAMPLES_FILE, data.samples)
        self.write_table(SLICES_FILE, data.slices)
        self.write_json(AUDIT_FILE, data.audit)
        self.write_table(EXAMPLES_FILE, data.examples)

    def compute_content_hash(self, data: Evaluation) -> str:
        """Hash the tables and the metrics."""
        others = map(content_hash, (data.samples, data.slices, data.examples))
        return content_hash(data.predictions, data.model, to_json(data.metrics), to_json(data.audit), *others)

    def extract_metadata(self, data: Evaluation) -> dict[str, MetadataType]:
        """Show the headline figures and their intervals."""
        figures = data.metrics.headline() | data.metrics.interval_ends() | data.audit.figures()
        return {name: round(value, 5) for name, value in figures.items()}

    def save_visualizations(self, data: Evaluation) -> dict[str, VisualizationType]:
        """Show the confusion matrix, what the probabilities are worth, and the samples."""
        from review_sentiment.evaluation.plots import confusion_figure, probability_figure

        shown = {}
        for name, figure in (("confusion_matrix", confusion_figure), ("probabilities", probability_figure)):
            picture = self.path(f"{name}.png")
            with self.artifact_store.open(picture, "wb") as file:
                figure(data).savefig(file, format="png", dpi=DOTS_PER_INCH)
            shown[picture] = VisualizationType.IMAGE
        if len(data.examples):
            shown[self.write_text("samples.html", examples_page(data))] = VisualizationType.HTML
        return shown
