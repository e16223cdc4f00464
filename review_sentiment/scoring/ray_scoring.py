"""Check and score the chunks of many files on a connected Ray cluster.

Ray Data streams: a task reads each file chunk by chunk, and actors that have loaded the model score them. It
holds a few chunks at a time, whatever the size of the files. A chunk is the same as on one machine, so the
model gets the same batches and gives the same scores.

A task that is lost with its node runs again from the start of its file. What it yields must not depend on
when it runs, so the chunks to leave out (`done`) are fixed before.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from review_sentiment.data.files.catalogue import open_reviews
from review_sentiment.data.files.review_file import ReviewColumns
from review_sentiment.errors import DataError, ReviewSentimentError, UsageError
from review_sentiment.scoring.bulk_scoring import ScoringJob, check_rows, chunks_of, failed_places, reviews_of
from review_sentiment.scoring.input_files import local_copy
from review_sentiment.scoring.scores import RowScores, Scores

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from review_sentiment.scoring.actor_plan import ActorPlan
    from review_sentiment.scoring.scorer import Scorer

HEAD = "node:__internal_head__"
"""A resource that Ray gives to the head node."""
BLOCKS_PER_ACTOR, MAX_CHUNKS = 32, 16
"""Chunks travel in blocks: large ones cost Ray less, 32 for each actor keep all busy to the end."""
SEND_SECONDS = 2.0
"""Scores are sent together for this long: a block of its own for each chunk took 70 ms."""
MAX_READERS = 8
"""Files that are read at a time."""


@dataclass(frozen=True)
class FileToScore:
    """A file of the input: its format, its rows, the columns to score, and the chunks that are scored."""

    address: str
    ending: str
    rows: int
    columns: ReviewColumns
    rows_per_chunk: int
    done: frozenset[int] = frozenset()

    @property
    def chunks(self) -> int:
        """Return the number of chunks."""
        return -(-self.rows // self.rows_per_chunk)

    @property
    def rows_done(self) -> int:
        """Return the rows of the chunks that are scored."""
        size = self.rows_per_chunk
        return sum(min(size, self.rows - number * size) for number in self.done)


UnscoredChunk: TypeAlias = "tuple[int, npt.NDArray[np.int64], tuple[list[str], list[str]]]"
"""The number of a chunk, the places of rows that cannot be scored, and titles and texts of the others."""


@dataclass(frozen=True)
class ScoredChunk:
    """The scores of a chunk: the number of its file, its own, and the scores of its rows."""

    file: int
    number: int
    rows: RowScores


def check_files(addresses: Sequence[str], job: ScoringJob) -> Iterator[FileToScore]:
    """Read every file whole before anything is scored, as `score_file` does; yield them in their order.

    Raises:
        UsageError: a file cannot be scored: it is damaged, or has no rows or columns to score.
    """
    import ray

    check: Any = ray.remote(num_cpus=1)(_check)
    waiting = [check.remote(address, job) for address in addresses]
    for one in waiting:
        with _own_errors():
            yield ray.get(one)


def score_chunks(
    files: Sequence[FileToScore], labels: int, load_scorer: Callable[[], Scorer], plan: ActorPlan
) -> Iterator[ScoredChunk]:
    """Yield the scores of all chunks that are not done, in any order.

    Raises:
        ReviewSentimentError: the model cannot be loaded, or a file changed or cannot be read any more.
    """
    import ray

    # Ray Data (2.60) does not run in a client, so it runs beside the head, without which nothing runs anyway.
    actor: Any = ray.remote(num_cpus=0, resources={HEAD: 0.001})(_Stream)
    stream = actor.remote(files, labels, load_scorer, plan)
    with _own_errors():
        while chunks := ray.get(stream.next.remote()):
            yield from chunks


class _Stream:
    """An actor that runs Ray Data."""

    def __init__(
        self, files: Sequence[FileToScore], labels: int, load_scorer: Callable[[], Scorer], plan: ActorPlan
    ) -> None:
        self._rows = _streamed(files, labels, load_scorer, plan)

    def next(self) -> list[ScoredChunk]:
        """Return the next chunks, none at the end."""
        with _own_errors():
            row = next(self._rows, None)
        return pickle.loads(row["data"]) if row else []


def _streamed(
    files: Sequence[FileToScore], labels: int, load_scorer: Callable[[], Scorer], plan: ActorPlan
) -> Iterator[Any]:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = 1  # a block for each row: Ray would collect 128 MB before it is scored
    context.enable_progress_bars = False
    items = [{"data": pickle.dumps((number, file))} for number, file in enumerate(files)]
    left = sum(file.chunks - len(file.done) for file in files)
    chunks = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _read,
        fn_args=(max(1, min(MAX_CHUNKS, left // (plan.actors * BLOCKS_PER_ACTOR))),),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=0,  # actors have all cores, and would wait for ever for a task that waits for one
        compute=ray.data.TaskPoolStrategy(size=min(len(items), plan.actors * plan.cores, MAX_READERS)),
    )
    scored = chunks.map_batches(
        _ChunkScorer,
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=plan.cores,
        num_gpus=plan.gpus,
        compute=ray.data.ActorPoolStrategy(size=plan.actors),
        fn_constructor_args=(load_scorer, labels),
    )
    yield from scored.iter_rows()


def _check(address: str, job: ScoringJob) -> FileToScore:
    with local_copy(address) as path:
        try:
            reviews = open_reviews(path)
            rows, columns = check_rows(reviews, replace(job, source=path))
        except DataError as error:
            raise UsageError(str(error)) from error  # nothing has been scored
    return FileToScore(address, reviews.ending, rows, columns, job.rows_per_chunk)


def _read(batch: pa.Table, chunks_per_block: int) -> Iterator[pa.Table]:
    """Yield the chunks of a file in blocks: the number of each, its rows, and its titles and texts."""
    for packed in batch["data"].to_pylist():
        number, file = pickle.loads(packed)
        with local_copy(file.address) as path:
            chunks = _chunks(file, path)
            while block := list(islice(chunks, chunks_per_block)):
                yield _block((number, block))


def _chunks(file: FileToScore, path: Path) -> Iterator[UnscoredChunk]:
    for number, rows in enumerate(chunks_of(open_reviews(path), file.columns, file.rows_per_chunk)):
        if number not in file.done:
            good = [row for row in rows if not row.problem]
            yield number, failed_places(rows), reviews_of(file.columns, good)


class _ChunkScorer:
    """An actor with a model, which is loaded with its first chunk."""

    def __init__(self, load_scorer: Callable[[], Scorer], labels: int) -> None:
        self._load = load_scorer
        self._labels = labels
        self._scorer: Scorer | None = None

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        """Yield the scores of the chunks every `SEND_SECONDS`, so that a killed command loses little."""
        file, chunks = pickle.loads(batch["data"][0].as_py())
        scored: list[ScoredChunk] = []
        sent = time.monotonic()
        for number, failed, (titles, texts) in chunks:
            scores = Scores.of_version(np.empty((0, self._labels)))
            if texts:
                self._scorer = self._scorer or self._load()
                scores = self._scorer.scores(titles, texts)
            scored.append(ScoredChunk(file, number, RowScores(scores, failed)))
            if time.monotonic() - sent >= SEND_SECONDS:
                yield _block(scored)
                scored, sent = [], time.monotonic()
        if scored:
            yield _block(scored)


def _block(data: Any) -> pa.Table:
    import pyarrow as pa

    return pa.table({"data": pa.array([pickle.dumps(data)], pa.large_binary())})


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raise an error of ours, which Ray has wrapped, as it was."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - always raised again
        cause: BaseException | None = error
        while cause is not None and not _is_own(cause):
            cause = getattr(cause, "cause", None) or cause.__cause__
        raise cause or error from None


def _is_own(error: BaseException) -> bool:
    """Return whether an error is ours. Ray's wrapper is a subclass of what it wraps, made on the fly."""
    return isinstance(error, ReviewSentimentError) and not hasattr(error, "cause")
