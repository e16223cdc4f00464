"""The decision rule, the gate's verdict and the registered version."""

from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.decision.rule import DecisionRule
from review_sentiment.registry.gate import Verdict
from review_sentiment.registry.model_card import RegisteredVersion


class DecisionRuleMaterializer(RecordMaterializer):
    """The rule that turns probabilities into answers."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (DecisionRule,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL


class VerdictMaterializer(RecordMaterializer):
    """The gate's checks, each with its figure."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Verdict,)

    def extract_metadata(self, data: Verdict) -> dict[str, MetadataType]:
        """Show the decision."""
        return {"passed": data.passed, "reason": data.reason()}

    def save_visualizations(self, data: Verdict) -> dict[str, VisualizationType]:
        """Show the checks."""
        return self.page("gate.md", f"{data.reason()}\n\n{data.table()}\n")


class RegisteredVersionMaterializer(RecordMaterializer):
    """The address of the version, and its model card."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (RegisteredVersion,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def extract_metadata(self, data: RegisteredVersion) -> dict[str, MetadataType]:
        """Show the address of the version."""
        return {"name": data.name, "version": data.version, "alias": data.alias or "none", "uri": data.uri}

    def save_visualizations(self, data: RegisteredVersion) -> dict[str, VisualizationType]:
        """Show the model card."""
        return self.page("model_card.md", data.card)
