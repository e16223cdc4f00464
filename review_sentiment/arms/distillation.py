"""A static model from an encoder: one vector for each token of its vocabulary (Model2Vec, without training).

As `model2vec.distill` does, which needs an older transformers: each token goes through the encoder alone.
Its mean hidden state is reduced to `DIMENSIONS` by PCA and weighted by how rare the token is (SIF). A
vocabulary is in the order of frequency, so Zipf's law gives the frequency. The result is kept in the cache
directory.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from review_sentiment.arms.encoder import Encoder
from review_sentiment.cache import cache_directory
from review_sentiment.errors import ModelUnavailableError
from review_sentiment.fingerprints import SHORT_DIGITS
from review_sentiment.models.recorded_directory import is_as_recorded, write_recorded

if TYPE_CHECKING:
    import numpy.typing as npt
    from model2vec import StaticModel

    from review_sentiment.models.base_model import ModelIdentity

DIMENSIONS = 256
SIF = 1e-4
"""Smooth inverse frequency (Arora et al., 2017): a token of frequency p has the weight SIF / (SIF + p)."""
UNUSED = re.compile(r"\[unused\d+\]")
"""Places that BERT's vocabularies keep free. They are the first, so they would count as frequent."""
MAX_TOKENS = 512
RECIPE = 1
"""Part of the name in the cache; to be raised when vectors change."""

logger = logging.getLogger(__name__)


def static_model(identity: ModelIdentity, device: str = "auto") -> StaticModel:
    """Return the static model of an encoder, from the cache directory if it was distilled before.

    Raises:
        ModelUnavailableError: the encoder is not available, or the cache directory cannot be written.
    """
    directory = _place(identity)
    if not is_as_recorded(directory):
        logger.info("Distilling %s to a static model in %s, once (half a minute)", identity.title, directory)
        distilled = distill(Encoder.open(identity, device))
        try:
            write_recorded(directory, lambda finished: save_static(distilled, finished))
        except OSError as error:
            raise ModelUnavailableError(
                f"The static model cannot be kept in {directory}: {error}. It needs 20 MB there; free "
                "some, or set XDG_CACHE_HOME to a directory that can be written."
            ) from error
    return load_static(directory)


def distill(encoder: Encoder) -> StaticModel:
    """Return a model with a vector for each token of the encoder's vocabulary.

    Tokens that no text has (special and unused ones) have the vector zero.
    """
    from model2vec import StaticModel

    tokenizer = encoder.tokenizer
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = set(tokenizer.all_special_ids)
    tokens = [number for token, number in vocabulary if number not in special and not UNUSED.fullmatch(token)]
    start, end = _around(tokenizer)
    found = (
        _principal_components(encoder.means([[*start, number, *end] for number in tokens]))
        * _rarity(len(tokens))[:, None]
    )
    vectors = np.zeros((len(vocabulary), found.shape[1]), np.float32)
    vectors[tokens] = found.astype(np.float16)  # as they are saved
    return StaticModel(vectors, tokenizer.backend_tokenizer, normalize=True, max_length=MAX_TOKENS)


def save_static(model: StaticModel, directory: Path) -> None:
    """Write vectors, in FP16, and tokenizer."""
    from model2vec.model import quantize_model

    quantize_model(model, quantize_to="float16").save_pretrained(directory)


def load_static(directory: Path) -> StaticModel:
    """Read what `save_static` wrote. Vectors are widened to FP32, which CPUs average faster."""
    from model2vec import StaticModel

    return StaticModel.from_pretrained(directory, quantize_to="float32")


def _place(identity: ModelIdentity) -> Path:
    depends_on = repr((identity.name if not identity.files else "", identity.revision, RECIPE))
    return (
        cache_directory() / "static-models" / hashlib.sha256(depends_on.encode()).hexdigest()[:SHORT_DIGITS]
    )


def _around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens before and after a text."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    tokens, special = encoded["input_ids"], encoded["special_tokens_mask"]
    first, last = special.index(0), len(special) - special[::-1].index(0)
    return tokens[:first], tokens[last:]


def _principal_components(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return vectors [n, d] in the directions in which they vary most, at most `DIMENSIONS`."""
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    kept = directions[:, ::-1][:, :DIMENSIONS]
    # Of a direction and its opposite, the one in which the largest entry is positive: either is right.
    kept = kept * np.sign(kept[np.abs(kept).argmax(0), np.arange(kept.shape[1])])
    found: npt.NDArray[np.float64] = centred @ kept
    return found


def _rarity(tokens: int) -> npt.NDArray[np.float64]:
    """Return the weight of each token [n], most frequent first."""
    frequency = 1 / np.arange(2, tokens + 2)
    found: npt.NDArray[np.float64] = SIF / (SIF + frequency / frequency.sum())
    return found
