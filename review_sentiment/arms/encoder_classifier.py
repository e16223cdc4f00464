"""A linear layer on the vectors of an encoder: the frozen and the tuned encoder, once they are trained.

The encoder is saved with the layer, frozen or not (91 MB for the embedded one). An identity would be enough
to find a frozen one again, but not on a machine without its package, directory or network.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from review_sentiment.arms.arm import documents
from review_sentiment.arms.encoder import Encoder, normalised
from review_sentiment.arms.linear import DocumentArm, LinearHead
from review_sentiment.arms.onnx_encoder import GRAPH_FILE, OnnxEncoder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ENCODER_DIRECTORY = "encoder"
FEATURES_FILE = "features.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncoderClassifier(DocumentArm):
    """An encoder, a linear layer, and whether vectors are normalised in between."""

    encoder: Encoder | OnnxEncoder
    head: LinearHead
    normalises: bool

    def features(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return what the linear layer reads of each text [n, d]."""
        found = self.encoder.means(self.encoder.tokenise(texts))
        return normalised(found) if self.normalises else found

    def log_probs(self, titles: Sequence[str], texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c]."""
        return self.document_log_probs(documents(titles, texts))

    def document_log_probs(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the labels' log-probabilities [n, c] of documents."""
        return self.head.log_probs(self.features(texts))

    def save(self, directory: Path) -> None:
        """Write the encoder and the linear layer."""
        self.encoder.save(directory / ENCODER_DIRECTORY)
        (directory / FEATURES_FILE).write_text(json.dumps({"normalises": self.normalises}), "utf-8")
        self.head.save(directory)

    @classmethod
    def load(cls, directory: Path, device: str = "auto") -> EncoderClassifier:
        """Read what `save` wrote.

        Raises:
            ModelUnavailableError: the encoder is damaged, or ONNX Runtime is needed and not installed.
            UsageError: there is no such device.
        """
        features = json.loads((directory / FEATURES_FILE).read_text("utf-8"))
        encoder = _load_encoder(directory / ENCODER_DIRECTORY, device)
        return cls(encoder, LinearHead.load(directory), features["normalises"])


def _load_encoder(directory: Path, device: str) -> Encoder | OnnxEncoder:
    if not (directory / GRAPH_FILE).is_file():
        return Encoder.load(directory, device)
    if device == "cuda":
        logger.info("The encoder answers on the CPU: %s is computed by ONNX Runtime for CPUs", GRAPH_FILE)
    return OnnxEncoder.load(directory)
