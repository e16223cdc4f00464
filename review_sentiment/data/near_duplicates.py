"""Texts that are nearly the same: a model that was trained on a review knows its copy with a word changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

WORDS = 3
"""Length of the word sequences that are compared."""
SIMILARITY = 0.8
"""Cosine of two texts' sets of word sequences from which on they are nearly the same."""
FEATURES = 2**20
ROWS_AT_ONCE = 2_000


def near_duplicates(texts: Sequence[str], references: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Tell for each text whether it is nearly the same as any reference; both are normalised texts.

    The cosine of the sets of word triples, |A and B| / sqrt(|A| |B|), is at
    least 0.8 for a text of 30 words in which one word was changed. Texts of
    fewer than three words are only ever equal, which is not asked here.
    """
    similar = np.zeros(len(texts), dtype=np.bool_)
    if not len(texts) or not len(references):
        return similar
    known = _word_sequences(references).T.tocsr()
    for rows in _slices(len(texts)):
        cosine = _word_sequences(texts[rows]) @ known
        similar[rows] = np.asarray(cosine.max(axis=1).todense()).ravel() >= SIMILARITY
    return similar


def _word_sequences(texts: Sequence[str]) -> csr_matrix:
    """Return [texts, FEATURES] with rows of length 1."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        ngram_range=(WORDS, WORDS),
        token_pattern=r"\S+",
        lowercase=False,
        binary=True,
        alternate_sign=False,
        n_features=FEATURES,
        dtype=np.float32,
    )
    return hashed.transform(texts)


def _slices(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, rows, ROWS_AT_ONCE))
