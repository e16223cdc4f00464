"""Texts that are nearly the same: a model trained on a review also knows a copy with one word changed.

The word sequences of millions of texts do not fit in memory, and comparing all with all would take weeks. So
they are in a temporary file, and memory has a block of the texts that the others are compared with. Compared
are only pairs that share two of their rarest sequences: all pairs of similar texts do, and few others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    Batches = Iterable[Sequence[str]]
    Pairs = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]

WORDS = 3
"""Length of the compared word sequences."""
SPACELESS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without spaces between words."""
WORD = rf"[{SPACELESS}]|[^\s{SPACELESS}]+"
"""A word; of these scripts a character, since a sentence would be one word and have no sequences."""
SIMILARITY = 0.8
"""Two texts are nearly the same if the cosine of their sets of word sequences is at least this."""
LEAST_SHARED = 0.79**2
"""Similar texts share this fraction of the sequences of each: with sets A and B, |A and B| is at least
0.8 sqrt(|A| |B|) and at most |B|, so at least 0.64 |A|. Less is asked for, because the cosine is rounded."""
RARE_SHARED = 2
"""Of their rarest sequences. With 1, there are a hundred times as many pairs to compare, with 3 a third."""
FEATURES = 2**20
ROWS_AT_ONCE = 2_000
PAIRS_AT_ONCE = 20_000
BLOCK_SEQUENCES = 40_000_000
"""Of the texts that are in memory: these take 0.5 GB."""


class _WordSequences:
    """The set of word sequences of each text, 4 bytes each, in a temporary file."""

    def __init__(self, texts: Batches) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="word-sequences-")  # noqa: SIM115
        self._rows = 0
        for batch in texts:
            for start in range(0, len(batch), ROWS_AT_ONCE):
                hashed = _hashed(batch[start : start + ROWS_AT_ONCE])
                np.save(self._file, hashed.indptr)
                np.save(self._file, hashed.indices)
                self._rows += hashed.shape[0]

    def __enter__(self) -> _WordSequences:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._rows

    def batches(self, position: int = 0) -> Iterator[tuple[int, csr_matrix]]:
        """Yield matrices [texts, FEATURES] of ones from a position in the file on, and where each ends."""
        from scipy.sparse import csr_matrix

        with suppress(EOFError):
            while True:
                self._file.seek(position)
                indptr, indices = np.load(self._file), np.load(self._file)
                position = self._file.tell()
                ones = np.ones(len(indices), np.int8)
                yield position, csr_matrix((ones, indices, indptr), shape=(len(indptr) - 1, FEATURES))

    def blocks(self) -> Iterator[tuple[int, int, _Block]]:
        """Yield blocks of texts, with the number of the first text and its position in the file."""
        number = position = end = sequences = 0
        batches: list[csr_matrix] = []
        for batch_end, batch in self.batches():
            batches.append(batch)
            sequences += batch.nnz
            if sequences >= BLOCK_SEQUENCES:
                block = _Block(batches)
                batches, sequences = [], 0
                yield number, position, block
                number, position = number + block.rows.shape[0], batch_end
            end = batch_end
        if position < end:
            yield number, position, _Block(batches)


def near_duplicates(texts: Batches, references: Batches) -> npt.NDArray[np.bool_]:
    """Return for each normalised text whether it is nearly the same as any of the normalised references.

    The cosine of the sets of word triples is |A and B| / sqrt(|A| |B|). It is at least 0.8 if one word of 30
    was changed, since a word is in three of the 28 triples. Texts of fewer than three words have no triples
    and are never reported; equal texts are found before (`splits`).
    """
    with _WordSequences(texts) as compared, _WordSequences(references) as known:
        similar = np.zeros(len(compared), dtype=np.bool_)
        for _, _, block in known.blocks():
            start = 0
            for _, batch in compared.batches():
                found, _ = block.similar(batch)
                similar[start + found] = True
                start += batch.shape[0]
    return similar


def similar_texts(texts: Batches) -> npt.NDArray[np.int_]:
    """Return a number for each normalised text: equal for texts that a chain of similar texts connects."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links: list[npt.NDArray[np.int32]] = [np.zeros((2, 0), np.int32)]
    with _WordSequences(texts) as sequences:
        size = len(sequences)
        for first, position, block in sequences.blocks():
            # Similarity is symmetric: each text is compared with its own block and those before.
            start = first
            for _, batch in sequences.batches(position):
                rows, known = block.similar(batch)
                links.append(np.stack([start + rows, first + known]))
                start += batch.shape[0]
    rows, columns = np.concatenate(links, axis=1)
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int_)


class _Block:
    """Texts that others are compared with, and an index of their rarest sequences."""

    def __init__(self, batches: Sequence[csr_matrix]) -> None:
        from scipy.sparse import vstack

        self.rows = vstack(batches, format="csr")
        frequency = np.bincount(self.rows.indices)
        present = np.flatnonzero(frequency)
        # From the rarest on; 0 for all that no text of the block has, so that none is shared.
        self._ranks = np.zeros(FEATURES, np.int32)
        self._ranks[present[np.argsort(frequency[present], kind="stable")]] = np.arange(1, len(present) + 1)
        self._width = len(present) + 1
        self._with_sequence = vstack([self._rarest(batch) for batch in batches], format="csr").T.tocsr()

    def similar(self, texts: csr_matrix) -> Pairs:
        """Return the row numbers of each text and each text of the block that are nearly the same."""
        shared = self._rarest(texts) @ self._with_sequence
        needed = np.minimum(RARE_SHARED, np.diff(texts.indptr))
        rows = np.repeat(np.arange(texts.shape[0], dtype=np.int32), np.diff(shared.indptr))
        enough = shared.data >= needed[rows]
        pairs = np.stack([rows[enough], shared.indices[enough]])
        similar = [
            _cosine(texts[some], self.rows[others]) >= SIMILARITY
            for some, others in _slices(pairs, PAIRS_AT_ONCE)
        ]
        some, others = pairs[:, np.concatenate(similar)] if similar else pairs
        return some, others

    def _rarest(self, texts: csr_matrix) -> csr_matrix:
        """Return the ranks of the rarest sequences of each text: similar texts share RARE_SHARED of them.

        If two sets of n and m elements share s, they share k of the first n - s + k of the one and the first
        m - s + k of the other, in any order of the elements: prefix filtering (S. Chaudhuri, V. Ganti and R.
        Kaushik, "A primitive operator for similarity joins in data cleaning", ICDE 2006). The rarer these
        are, the fewer other pairs share any.
        """
        from scipy.sparse import csr_matrix

        sizes = np.diff(texts.indptr)
        shape = (texts.shape[0], self._width)
        ranked = csr_matrix((texts.data, self._ranks[texts.indices], texts.indptr), shape=shape)
        ranked.sort_indices()
        places = np.arange(texts.nnz) - np.repeat(texts.indptr[:-1], sizes)
        kept = np.minimum(sizes, sizes - np.ceil(LEAST_SHARED * sizes).astype(np.int32) + RARE_SHARED)
        indices = ranked.indices[places < np.repeat(kept, sizes)]
        indptr = np.concatenate([[0], np.cumsum(kept)])
        return csr_matrix((np.ones(len(indices), np.int32), indices, indptr), shape=shape)


def _slices(pairs: npt.NDArray[np.int32], size: int) -> Iterator[npt.NDArray[np.int32]]:
    return (pairs[:, start : start + size] for start in range(0, pairs.shape[1], size))


def _cosine(some: csr_matrix, others: csr_matrix) -> npt.NDArray[np.float32]:
    """Return the cosine of each row of a matrix with the same row of the other."""
    from sklearn.preprocessing import normalize

    first, second = (normalize(rows.astype(np.float32)) for rows in (some, others))
    return np.asarray(first.multiply(second).sum(axis=1)).ravel()


def _hashed(texts: Sequence[str]) -> csr_matrix:
    """Return a matrix [texts, FEATURES] with a one for each word sequence of a text."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        ngram_range=(WORDS, WORDS),
        token_pattern=WORD,
        lowercase=False,
        binary=True,
        alternate_sign=False,
        n_features=FEATURES,
        norm=None,
        dtype=np.float32,
    )
    return cast("csr_matrix", vectorizer.transform(texts))
