"""Reports by evidently: the HTML page and its figures."""

from dataclasses import replace
from typing import Any, ClassVar

from zenml.enums import VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.data.data_report import DataReport
from review_sentiment.evaluation.classification_report import ClassificationReport


class ReportMaterializer(RecordMaterializer):
    """A page, and the figures on it."""

    SKIP_REGISTRATION: ClassVar[bool] = True

    def compute_content_hash(self, data: Any) -> str:
        """Hash the figures; the page differs each time, because evidently puts random ids into it."""
        return super().compute_content_hash(replace(data, html=""))

    def save_visualizations(self, data: Any) -> dict[str, VisualizationType]:
        """Show the page."""
        return self.page("report.html", data.html)


class DataReportMaterializer(ReportMaterializer):
    """The evaluation reviews compared with the training reviews."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (DataReport,)

    def extract_metadata(self, data: DataReport) -> dict[str, MetadataType]:
        """Show the distances, and the columns that drifted."""
        return {"distances": dict(data.distances), "drifted": list(data.drifted)}


class ClassificationReportMaterializer(ReportMaterializer):
    """The answers of the tuned model."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (ClassificationReport,)

    def extract_metadata(self, data: ClassificationReport) -> dict[str, MetadataType]:
        """Show evidently's figures of the tuned model."""
        return dict(data.figures)
