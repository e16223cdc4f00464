"""Trained adapters: the files that PEFT wrote, and a record of the training."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType, VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.record import RecordMaterializer
from review_sentiment.training.trained_adapter import TrainedAdapter

FILES = "files"
MLFLOW_RUN_ID = "mlflow_run_id"
"""Key in the metadata of an adapter."""


class TrainedAdapterMaterializer(RecordMaterializer):
    """The record, beside a directory with the adapter's files."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (TrainedAdapter,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL

    def load(self, data_type: type[Any]) -> TrainedAdapter:
        """Read the record, and copy the files to a temporary directory that exists as long as the step."""
        adapter: TrainedAdapter = super().load(data_type)
        with self.get_temporary_directory(delete_at_exit=False) as directory:
            stored = self.path(FILES)
            for name in self.artifact_store.listdir(stored):
                with self.artifact_store.open(os.path.join(stored, str(name)), "rb") as file:
                    Path(directory, str(name)).write_bytes(file.read())
        return replace(adapter, directory=Path(directory))

    def save(self, data: TrainedAdapter) -> None:
        """Write the record, and copy the files to the artifact store."""
        stored = self.path(FILES)
        self.artifact_store.makedirs(stored)
        for path in sorted(data.directory.iterdir()):
            with self.artifact_store.open(os.path.join(stored, path.name), "wb") as file:
                file.write(path.read_bytes())
        super().save(_portable(data))

    def compute_content_hash(self, data: TrainedAdapter) -> str:
        """Hash the record, which contains the candidate's run, and the files."""
        record = super().compute_content_hash(_portable(data))
        digest = hashlib.blake2b(record.encode(), digest_size=16)
        for path in sorted(data.directory.iterdir()):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def extract_metadata(self, data: TrainedAdapter) -> dict[str, MetadataType]:
        """Show the figures of the training and of the proof."""
        return {
            "base_model": data.base.title,
            "classification_head": data.has_head,
            MLFLOW_RUN_ID: data.run_id,
            "seconds": round(data.summary.seconds, 1),
            "tokens_per_second": round(data.summary.tokens_per_second, 1),
            "peak_memory_gb": round(data.summary.peak_memory_gb, 2),
            "lora_layers_moved": sum(layer.distance > 0 for layer in data.proof.layers),
            "first_loss": data.proof.first_loss,
            "last_loss": data.proof.last_loss,
        }

    def save_visualizations(self, data: TrainedAdapter) -> dict[str, VisualizationType]:
        """Show the proof, layer by layer."""
        rows = "\n".join(
            f"| {layer.layer} | {layer.forward_calls} | {layer.first_gradient_norm:.2e} "
            f"| {layer.distance:.3f} |"
            for layer in data.proof.layers
        )
        proof = (
            f"Loss {data.proof.first_loss:.4f} to {data.proof.last_loss:.4f}\n\n"
            f"| layer | calls before the first step | first gradient of B | distance moved |\n"
            f"|---|---|---|---|\n{rows}\n"
        )
        return self.page("lora_proof.md", proof)


def _portable(data: TrainedAdapter) -> TrainedAdapter:
    """Replace the temporary path, which differs between processes."""
    return replace(data, directory=Path(FILES))
