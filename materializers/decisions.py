"""The gate's verdict and the registered version: small records as JSON."""

import os
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from materializers.json_files import json_hash, read_json, write_json
from review_sentiment.gate import Verdict
from review_sentiment.model_card import RegisteredVersion

RECORD_FILE = "record.json"


class VerdictMaterializer(BaseMaterializer):
    """Every rule with its figure."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Verdict,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA_ANALYSIS

    def load(self, data_type: type[Any]) -> Verdict:
        """Read the verdict."""
        return read_json(self.artifact_store, os.path.join(self.uri, RECORD_FILE), Verdict)

    def save(self, data: Verdict) -> None:
        """Write the verdict."""
        write_json(self.artifact_store, os.path.join(self.uri, RECORD_FILE), data)

    def compute_content_hash(self, data: Verdict) -> str:
        """Hash the rules."""
        return json_hash(data)

    def extract_metadata(self, data: Verdict) -> dict[str, MetadataType]:
        """Show the decision."""
        return {"passed": data.passed, "reason": data.reason()}

    def save_visualizations(self, data: Verdict) -> dict[str, VisualizationType]:
        """Show the rules."""
        path = os.path.join(self.uri, "gate.md")
        rows = "\n".join(
            f"| {rule.name} | {rule.asked} | {rule.found} | {'yes' if rule.passed else 'no'} |"
            for rule in data.rules
        )
        with self.artifact_store.open(path, "w") as file:
            file.write(f"{data.reason()}\n\n| rule | asked | found | holds |\n|---|---|---|---|\n{rows}\n")
        return {path: VisualizationType.MARKDOWN}


class RegisteredVersionMaterializer(BaseMaterializer):
    """Where the version is, and its card."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (RegisteredVersion,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def load(self, data_type: type[Any]) -> RegisteredVersion:
        """Read the record."""
        return read_json(self.artifact_store, os.path.join(self.uri, RECORD_FILE), RegisteredVersion)

    def save(self, data: RegisteredVersion) -> None:
        """Write the record."""
        write_json(self.artifact_store, os.path.join(self.uri, RECORD_FILE), data)

    def compute_content_hash(self, data: RegisteredVersion) -> str:
        """Hash the record."""
        return json_hash(data)

    def extract_metadata(self, data: RegisteredVersion) -> dict[str, MetadataType]:
        """Show where the version is."""
        return {"name": data.name, "version": data.version, "alias": data.alias, "uri": data.uri}

    def save_visualizations(self, data: RegisteredVersion) -> dict[str, VisualizationType]:
        """Show the card."""
        path = os.path.join(self.uri, "model_card.md")
        with self.artifact_store.open(path, "w") as file:
            file.write(data.card)
        return {path: VisualizationType.MARKDOWN}
