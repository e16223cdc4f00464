"""Evaluations: metrics, predictions and samples."""

import os
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.json_files import read_json, to_json, write_json
from materializers.tables import content_hash, preview, read_table, write_table
from review_sentiment.metrics import Evaluation, Metrics

METRICS_FILE = "metrics.json"
MODEL_FILE = "model.json"
PREDICTIONS_FILE = "predictions.parquet"
SAMPLES_FILE = "samples.parquet"


class EvaluationMaterializer(BaseMaterializer):
    """Metrics as JSON, tables as parquet."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Evaluation,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def load(self, data_type: type[Any]) -> Evaluation:
        """Read the evaluation."""
        store = self.artifact_store
        return Evaluation(
            model=read_json(store, self._path(MODEL_FILE), str),
            metrics=read_json(store, self._path(METRICS_FILE), Metrics),
            predictions=read_table(store, self._path(PREDICTIONS_FILE)),
            samples=read_table(store, self._path(SAMPLES_FILE)),
        )

    def save(self, data: Evaluation) -> None:
        """Write the evaluation."""
        write_json(self.artifact_store, self._path(MODEL_FILE), data.model)
        write_json(self.artifact_store, self._path(METRICS_FILE), data.metrics)
        write_table(self.artifact_store, self._path(PREDICTIONS_FILE), data.predictions)
        write_table(self.artifact_store, self._path(SAMPLES_FILE), data.samples)

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

        samples, picture = self._path("samples.html"), self._path("confusion_matrix.png")
        with self.artifact_store.open(samples, "w") as file:
            file.write(preview(data.samples, f"{data.model}: sample predictions"))
        with self.artifact_store.open(picture, "wb") as file:
            confusion_figure(data).savefig(file, format="png", dpi=120)
        return {picture: VisualizationType.IMAGE, samples: VisualizationType.HTML}

    def _path(self, name: str) -> str:
        return os.path.join(self.uri, name)
