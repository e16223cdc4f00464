"""Trained adapters: the files that PEFT wrote, and a record of the training."""

from typing import Any, ClassVar

from zenml.enums import VisualizationType
from zenml.metadata.metadata_types import MetadataType

from materializers.directory import DirectoryMaterializer
from review_sentiment.training.trained_adapter import TrainedAdapter

MLFLOW_RUN_ID = "mlflow_run_id"
"""Key in the metadata of an adapter."""


class TrainedAdapterMaterializer(DirectoryMaterializer):
    """The record, beside a directory with the adapter's files."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (TrainedAdapter,)

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
