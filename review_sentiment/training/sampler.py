"""The order in which a training sees its reviews: it follows from the seed and the epoch alone.

The samplers of transformers 5.23 and torch draw from the global random state, which a resumed
training has in another state at the begin of an epoch: from the second one on it would see other batches.
In both orders the heaviest batch comes first, so that a lack of memory shows at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from review_sentiment.models.packing import shared_prefix
from review_sentiment.resources.micro_batches import KnownRows


class RandomBatches(Sampler[int]):
    """Batches of a random order, as they are drawn but for the heaviest, which comes first."""

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int, step: Callable[[], int]) -> None:
        self._batch_size = batch_size
        self._lengths = lengths
        self._seed = seed
        self._step = step

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Yield the rows of the epoch that the present optimiser step is in."""
        size = self._batch_size
        generator = _generator_of_epoch(len(self), size, self._seed, self._step())
        order = torch.randperm(len(self), generator=generator).tolist()
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        # The last may have fewer rows; then it stays the last.
        whole = (batch for batch in batches if len(batch) == size)
        heaviest = max(whole, key=self._tokens, default=batches[0])
        yield from heaviest
        for batch in batches:
            if batch is not heaviest:
                yield from batch

    def _tokens(self, batch: Sequence[int]) -> int:
        return sum(self._lengths[row] for row in batch)


class ByLength(LengthGroupedSampler):  # type: ignore[misc]
    """Rows of similar length side by side, for batches that are padded."""

    def __init__(self, batch_size: int, lengths: Sequence[int], seed: int, step: Callable[[], int]) -> None:
        super().__init__(batch_size, lengths=list(lengths))
        self._seed = seed
        self._step = step

    def __iter__(self) -> Iterator[int]:
        """Yield the rows of the epoch that the present optimiser step is in."""
        generator = _generator_of_epoch(len(self.lengths), self.batch_size, self._seed, self._step())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


def order_of(packs_rows: bool) -> type[RandomBatches | ByLength]:
    """Return the order of rows that are packed, or of rows that are padded."""
    return RandomBatches if packs_rows else ByLength


def heaviest_batch(rows: Sequence[list[int]], batch_size: int, seed: int, packs_rows: bool) -> KnownRows:
    """Return what memory depends on of the batch that comes first, for rows of token ids."""
    order = order_of(packs_rows)(batch_size, list(map(len, rows)), seed, lambda: 0)
    first = itertools.islice(order, batch_size)
    batch = [rows[row] for row in first]
    lengths = tuple(map(len, batch))
    return KnownRows(lengths, shared_prefix(batch, min(lengths) - 1))


def _generator_of_epoch(rows: int, batch_size: int, seed: int, step: int) -> torch.Generator:
    """Return the source of randomness of the epoch that an optimiser step is in."""
    epoch = step // math.ceil(rows / batch_size)
    return torch.Generator().manual_seed(seed + epoch)
