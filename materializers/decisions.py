"""The gate's verdict and the registered version: small records as JSON."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.files import RecordMaterializer
from review_sentiment.registry.gate import Verdict
from review_sentiment.registry.model_card import RegisteredVersion


class VerdictMaterializer(RecordMaterializer):
    """Each gate check with its figures."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Verdict,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def extract_metadata(self, data: Verdict) -> dict[str, MetadataType]:
        """Show the decision."""
        return {"passed": data.passed, "reason": data.reason()}

    def save_visualizations(self, data: Verdict) -> dict[str, VisualizationType]:
        """Show the gate checks."""
        page = f"{data.reason()}\n\n{data.table()}\n"
        return {self.write_text("gate.md", page): VisualizationType.MARKDOWN}


class RegisteredVersionMaterializer(RecordMaterializer):
    """Where the version is, and its card."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (RegisteredVersion,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def extract_metadata(self, data: RegisteredVersion) -> dict[str, MetadataType]:
        """Show where the version is."""
        return {"name": data.name, "version": data.version, "alias": data.alias, "uri": data.uri}

    def save_visualizations(self, data: RegisteredVersion) -> dict[str, VisualizationType]:
        """Show the card."""
        return {self.write_text("model_card.md", data.card): VisualizationType.MARKDOWN}
