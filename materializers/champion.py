"""The champion that a candidate was compared with."""

from typing import Any, ClassVar

from zenml.enums import VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.evaluation import EvaluationMaterializer
from materializers.record import RecordMaterializer
from review_sentiment.registry.gate import Champion

VERSION_FILE = "version.txt"


class ChampionMaterializer(RecordMaterializer):
    """The champion's version and evaluation; the file of the version is empty if there is no champion."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Champion,)

    def load(self, data_type: type[Any]) -> Champion:
        """Read version and evaluation."""
        with self.artifact_store.open(self.path(VERSION_FILE), "r") as file:
            version = file.read()
        return Champion(version, self._evaluation.load(data_type)) if version else Champion()

    def save(self, data: Champion) -> None:
        """Write version and evaluation."""
        self.write_text(VERSION_FILE, data.version or "")
        if data.evaluation is not None:
            self._evaluation.save(data.evaluation)

    def compute_content_hash(self, data: Champion) -> str:
        """Hash version and evaluation."""
        if data.evaluation is None:
            return "no champion"
        return f"{data.version} {self._evaluation.compute_content_hash(data.evaluation)}"

    def extract_metadata(self, data: Champion) -> dict[str, MetadataType]:
        """Show the version and its main metrics."""
        if data.evaluation is None:
            return {"version": "none"}
        return {"version": str(data.version), **self._evaluation.extract_metadata(data.evaluation)}

    def save_visualizations(self, data: Champion) -> dict[str, VisualizationType]:
        """Show the evaluation."""
        return {} if data.evaluation is None else self._evaluation.save_visualizations(data.evaluation)

    @property
    def _evaluation(self) -> EvaluationMaterializer:
        return EvaluationMaterializer(self.uri, self.artifact_store)
