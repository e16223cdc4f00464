"""A trained adapter, with everything that must travel with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from review_sentiment.data.prompt_format import PromptFormat
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.lora import has_head
from review_sentiment.training.lora_proof import LoraProof


@dataclass(frozen=True)
class TrainingSummary:
    """Figures of a finished training.

    `tokens` counts the tokens of the reviews. `computed_tokens` counts those that went through the model:
    padding adds to them, and a shared prompt prefix is computed once. Memory is in units of 1e9 bytes: the
    peak of the GPU, or of the whole process on a CPU, and what was expected before the start.
    """

    reviews: int
    steps: int
    tokens: int
    seconds: float
    tokens_per_second: float
    computed_tokens: int
    trainable_parameters: int
    peak_memory_gb: float
    expected_memory_gb: float


@dataclass(frozen=True)
class TrainedAdapter:
    """The adapter's files, the model they belong to, and the MLflow run of the candidate.

    `compute` and `settings` are for people; prompts are built with `prompt` as in training. `checkpoints` is
    the address of the training's checkpoints, which are useless once the adapter has been saved.
    """

    directory: Path
    base: ModelIdentity
    run_id: str
    proof: LoraProof
    summary: TrainingSummary
    prompt: PromptFormat
    compute: dict[str, str]
    settings: dict[str, str]
    checkpoints: str

    @property
    def has_head(self) -> bool:
        """Return whether a classification head is beside the adapter."""
        return has_head(self.directory)
