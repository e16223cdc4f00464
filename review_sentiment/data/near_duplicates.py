"""Texts that are nearly the same: a model trained on a review also knows a copy with one word changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

WORDS = 3
"""Length of the compared word sequences."""
SPACELESS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without spaces between words."""
WORD = rf"[{SPACELESS}]|[^\s{SPACELESS}]+"
"""A word; of these scripts a character, since a sentence would be one word and have no sequences."""
SIMILARITY = 0.8
"""Two texts are nearly the same if the cosine of their sets of word sequences is at least this."""
FEATURES = 2**20
ROWS_AT_ONCE = 2_000
PAIRS_AT_ONCE = 40_000_000
"""Compared at once in a set that is compared with itself: these take about 100 MB."""


def near_duplicates(texts: Sequence[str], references: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return for each normalised text whether it is nearly the same as any of the normalised references.

    The cosine of the sets of word triples is |A and B| / sqrt(|A| |B|). It is at least 0.8 if one word of 30
    was changed, since a word is in three of the 28 triples. Texts of fewer than three words have no triples
    and are never reported; equal texts are found before (`splits`).
    """
    similar = np.zeros(len(texts), dtype=np.bool_)
    if not len(texts) or not len(references):
        return similar
    known = _word_sequences(references).T.tocsr()
    # In slices, because the product of all texts with all references would not fit in memory.
    for start in range(0, len(texts), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        cosine = _word_sequences(texts[rows]) @ known
        similar[rows] = np.asarray(cosine.max(axis=1).todense()).ravel() >= SIMILARITY
    return similar


def similar_texts(texts: Sequence[str]) -> npt.NDArray[np.int_]:
    """Return a number for each normalised text: equal for texts that a chain of similar texts connects."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(texts):
        return np.zeros(0, dtype=np.int_)
    sequences = _word_sequences(texts)
    links: list[npt.NDArray[np.int_]] = []
    rows_at_once = max(1, min(ROWS_AT_ONCE, PAIRS_AT_ONCE // len(texts)))
    for start in range(0, len(texts), rows_at_once):
        # Similarity is symmetric: each text is compared with itself and those after it.
        cosine = (sequences[start : start + rows_at_once] @ sequences[start:].T).tocoo()
        similar = cosine.data >= SIMILARITY
        links.append(start + np.stack([cosine.row[similar], cosine.col[similar]]))
    rows, columns = np.concatenate(links, axis=1)
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int_)


def _word_sequences(texts: Sequence[str]) -> csr_matrix:
    """Return a matrix [texts, FEATURES] whose rows have length 1."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        ngram_range=(WORDS, WORDS),
        token_pattern=WORD,
        lowercase=False,
        binary=True,
        alternate_sign=False,
        n_features=FEATURES,
        dtype=np.float32,
    )
    return hashed.transform(texts)
