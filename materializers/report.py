"""Reports of evidently: the HTML page, and its figures."""

from dataclasses import replace
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import RecordMaterializer
from materializers.json_files import json_hash
from review_sentiment.classification_report import ClassificationReport
from review_sentiment.reports import DataReport


class DataReportMaterializer(RecordMaterializer):
    """One JSON file with the page in it."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (DataReport,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def compute_content_hash(self, data: DataReport) -> str:
        """Hash the figures: evidently puts new random identifiers into every page."""
        return json_hash(replace(data, html=""))

    def extract_metadata(self, data: DataReport) -> dict[str, MetadataType]:
        """Show the distances, and which columns drifted."""
        return {"distances": dict(data.distances), "drifted": list(data.drifted)}

    def save_visualizations(self, data: DataReport) -> dict[str, VisualizationType]:
        """Show the page."""
        return {self.write_text("report.html", data.html): VisualizationType.HTML}


class ClassificationReportMaterializer(RecordMaterializer):
    """One JSON file with the page in it."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ClassificationReport,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def compute_content_hash(self, data: ClassificationReport) -> str:
        """Hash the figures: evidently puts new random identifiers into every page."""
        return json_hash(replace(data, html=""))

    def extract_metadata(self, data: ClassificationReport) -> dict[str, MetadataType]:
        """Show evidently's figures of the tuned model."""
        return dict(data.figures)

    def save_visualizations(self, data: ClassificationReport) -> dict[str, VisualizationType]:
        """Show the page."""
        return {self.write_text("report.html", data.html): VisualizationType.HTML}
