"""An encoder turns texts into vectors: the mean of the hidden states of their tokens.

Everything is computed in FP32. On a CPU with AVX512-BF16 but without AMX, BF16 halves the throughput of a
model as narrow as the embedded encoder (44 against 75 to 96 GFLOP/s a core), and a GPU is fast enough either
way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.arms.encoder_source import load_directory, load_files
from review_sentiment.models.batching import token_budget_batches
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.shared_cores import share_cores_during

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from transformers import PreTrainedModel

    from review_sentiment.models.base_model import ModelIdentity

MAX_TOKENS = 256
"""The embedded encoder was trained with as many. Longer texts lose their end."""
TOKENS_PER_BATCH = {"cpu": 2_048, "cuda": 65_536}
"""Padded tokens of a batch. Larger ones are no faster on two cores."""


@dataclass(frozen=True)
class Encoder:
    """A tokenizer and a model without dropout."""

    tokenizer: Any
    model: PreTrainedModel

    @classmethod
    def open(cls, encoder: ModelIdentity, device: str = "auto") -> Encoder:
        """Load an encoder by its identity.

        Raises:
            ModelUnavailableError: as `load_files`.
            UsageError: there is no such device.
        """
        return cls._on(device, *load_files(encoder))

    @classmethod
    def load(cls, directory: Path, device: str = "auto") -> Encoder:
        """Read what `save` wrote.

        Raises:
            ModelUnavailableError: the directory has no encoder.
            UsageError: there is no such device.
        """
        return cls._on(device, *load_directory(directory))

    @classmethod
    def _on(cls, device: str, tokenizer: Any, model: PreTrainedModel) -> Encoder:
        plan = plan_compute(device, "fp32")
        if plan.device == "cpu":
            share_cores_during(model)
        return cls(tokenizer, model.to(plan.placement))

    def save(self, directory: Path) -> None:
        """Write tokenizer and weights, as safetensors."""
        self.model.save_pretrained(directory)
        self.tokenizer.save_pretrained(directory)

    @property
    def max_tokens(self) -> int:
        """Return how many tokens of a text are read, with the special ones."""
        places = getattr(self.model.config, "max_position_embeddings", MAX_TOKENS)
        return int(min(MAX_TOKENS, self.tokenizer.model_max_length, places))

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, with the special ones, cut at the encoder's maximum."""
        rows: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)[
            "input_ids"
        ]
        return rows

    def pooled(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the mean hidden state [n, d] of each row of tokens, computed as one batch."""
        import torch

        width = max(1, *map(len, rows))
        padding = self.tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
        mask = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
        tokens, mask = tokens.to(self.model.device), mask.to(self.model.device)
        states = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        found: torch.Tensor = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return found

    def means(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Return the mean hidden state [n, d] of each row of tokens.

        Rows of similar length are computed together. How they are divided into batches moves a value by
        rounding only: by 1e-6 of the vector's length.
        """
        import torch

        found = np.zeros((len(rows), self.model.config.hidden_size), np.float32)
        budget = TOKENS_PER_BATCH[self.model.device.type]
        with torch.inference_mode():
            for batch in token_budget_batches([len(row) for row in rows], budget):
                found[batch] = self.pooled([rows[row] for row in batch]).cpu().numpy()
        return found


def normalised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return vectors [n, d] with length 1; those of length 0 stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
