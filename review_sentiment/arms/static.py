"""Logistic regression on the mean of static token vectors: no model runs, so it is the fastest arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from review_sentiment.arms.arm import LabelledDocuments, documents
from review_sentiment.arms.distillation import load_static, save_static, static_model
from review_sentiment.arms.linear import DocumentArm, Features, LinearHead, fit_best_linear

if TYPE_CHECKING:
    import numpy.typing as npt
    from model2vec import StaticModel

    from review_sentiment.models.base_model import ModelIdentity

MODEL_DIRECTORY = "static"


@dataclass(frozen=True)
class Static(DocumentArm):
    """Token vectors distilled from an encoder, and a linear layer on their normalised mean."""

    model: StaticModel
    head: LinearHead

    @classmethod
    def fit(
        cls, encoder: ModelIdentity, train: LabelledDocuments, validation: LabelledDocuments, seed: int
    ) -> Static:
        """Fit on training documents; the validation documents choose the regularisation."""
        model = static_model(encoder)

        def features(found: LabelledDocuments) -> Features:
            return Features(_vectors(model, found.documents), found)

        return cls(model, fit_best_linear(features(train), features(validation), seed))

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c]."""
        return self.head.log_probs(_vectors(self.model, documents(titles, texts)))

    def save(self, directory: Path) -> None:
        """Write vectors, tokenizer and the linear layer."""
        save_static(self.model, directory / MODEL_DIRECTORY)
        self.head.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Static:
        """Read what `save` wrote."""
        return cls(load_static(directory / MODEL_DIRECTORY), LinearHead.load(directory))


def _vectors(model: StaticModel, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    # Its processes are threads, and it switches off those of the tokenizer for the whole process.
    found: npt.NDArray[np.float32] = model.encode(list(texts), use_multiprocessing=False)
    return found
