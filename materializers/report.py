"""Data reports: the HTML page, and the columns that drifted."""

import os
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.json_files import json_hash, read_json, write_json
from review_sentiment.reports import DataReport

REPORT_FILE = "report.json"


class DataReportMaterializer(BaseMaterializer):
    """One JSON file with the page in it."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (DataReport,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def load(self, data_type: type[Any]) -> DataReport:
        """Read the report."""
        return read_json(self.artifact_store, os.path.join(self.uri, REPORT_FILE), DataReport)

    def save(self, data: DataReport) -> None:
        """Write the report."""
        write_json(self.artifact_store, os.path.join(self.uri, REPORT_FILE), data)

    def compute_content_hash(self, data: DataReport) -> str:
        """Hash the figures: evidently puts new random identifiers into every page."""
        return json_hash(dict(data.distances))

    def extract_metadata(self, data: DataReport) -> dict[str, MetadataType]:
        """Show the distances, and which columns drifted."""
        return {"distances": dict(data.distances), "drifted": list(data.drifted)}

    def save_visualizations(self, data: DataReport) -> dict[str, VisualizationType]:
        """Show the page."""
        path = os.path.join(self.uri, "report.html")
        with self.artifact_store.open(path, "w") as file:
            file.write(data.html)
        return {path: VisualizationType.HTML}
