"""Reports of evidently: the HTML page, and its figures."""

from dataclasses import replace
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import RecordMaterializer
from materializers.json_files import json_hash
from review_sentiment.data.data_report import DataReport
from review_sentiment.evaluation.classification_report import ClassificationReport


class ReportMaterializer(RecordMaterializer):
    """One JSON file with the page in it."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def compute_content_hash(self, data: Any) -> str:
        """Hash the figures: evidently puts new random identifiers into every page."""
        return json_hash(replace(data, html=""))

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """Show the page."""
        return {self.write_text("report.html", data.html): VisualizationType.HTML}


class DataReportMaterializer(ReportMaterializer):
    """How the evaluation reviews lie beside those of the training."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (DataReport,)

    def extract_metadata(self, data: DataReport) -> dict[str, MetadataType]:
        """Show the distances, and which columns drifted."""
        return {"distances": dict(data.distances), "drifted": list(data.drifted)}


class ClassificationReportMaterializer(ReportMaterializer):
    """How the tuned model classifies."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ClassificationReport,)

    def extract_metadata(self, data: ClassificationReport) -> dict[str, MetadataType]:
        """Show evidently's figures of the tuned model."""
        return dict(data.figures)
