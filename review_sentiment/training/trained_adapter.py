"""A trained adapter, and everything that must travel with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.scoring.answers import KeptAnswers
from review_sentiment.training.lora_proof import LoraProof


@dataclass(frozen=True)
class TrainingSummary:
    """Figures of a finished training.

    `tokens` counts real tokens, `computed_tokens` those that went through the model:
    padding adds to them, a prompt's shared beginning is computed once; `peak_memory_gb` is the GPU's
    or, on a CPU, the whole process's, in units of 1e9 bytes; `expected_memory_gb` was foretold.
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

    `compute` and `settings` are shown to people; `max_tokens` is needed to build
    prompts as in training. `checkpoints` is the address of those of its training,
    which are of no use once the adapter has been saved. `validation` are its answers to validation reviews,
    None where it was not validated.
    """

    directory: Path
    base: ModelIdentity
    run_id: str
    proof: LoraProof
    summary: TrainingSummary
    max_tokens: int
    compute: dict[str, str]
    settings: dict[str, str]
    checkpoints: str
    validation: KeptAnswers | None
