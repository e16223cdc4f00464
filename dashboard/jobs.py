"""Work that would make pages wait, in processes of its own: loaded models, and slow computations.

A page asks for a result by its key, and shows that it is in progress until it is there. Each kind of work has
one process, so that a slow computation does not wait for a model that is being loaded.
"""

from __future__ import annotations

import os
import signal
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from threading import Lock
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from review_sentiment.errors import ReviewSentimentError

Kind = Literal["models", "computations", "measurements"]
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
RESULTS_KEPT = 200
PATIENCE = 0.05
"""Seconds that a page waits for a result: most are there by then, and the page need not be updated."""
NICENESS: dict[Kind, int] = {"computations": 0, "models": 15, "measurements": 5}
"""If they compete for the cores, pages and the computations that they wait for come first."""


@dataclass(frozen=True)
class Job(Generic[Result]):
    """The state of some work: in progress if it has neither a result nor a problem."""

    seconds: float
    result: Result | None = None
    problem: str = ""

    @property
    def in_progress(self) -> bool:
        """Return whether there is no result yet."""
        return self.result is None and not self.problem


class Jobs:
    """The processes and the results of their work, which are kept for the next page that asks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pools: dict[Kind, ProcessPoolExecutor] = {}
        self._futures: OrderedDict[Hashable, tuple[float, ProcessPoolExecutor, Future[Any]]] = OrderedDict()

    def ask(
        self,
        kind: Kind,
        key: Hashable,
        work: Callable[Arguments, Result],
        *arguments: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Job[Result]:
        """Return the state of the work with a key, which is started if nobody has asked for it before.

        `work` is a function of a module, and its arguments and result can be pickled; the result is not None.
        Work that failed is started again by whoever asks next after its problem was shown.
        """
        with self._lock:
            if key not in self._futures:
                try:
                    future = self._pool(kind).submit(work, *arguments, **options)
                except BrokenProcessPool:  # it was killed while it had nothing to do
                    del self._pools[kind]
                    future = self._pool(kind).submit(work, *arguments, **options)
                self._futures[key] = (time.monotonic(), self._pools[kind], future)
            self._futures.move_to_end(key)
            since, pool, future = self._futures[key]
            # A process does one thing after the other: before ours is its turn, there is nothing to wait for.
            earlier = (one for began, of, one in self._futures.values() if of is pool and began < since)
            is_next = all(one.done() for one in earlier)
        wait([future], PATIENCE if is_next else 0)
        with self._lock:
            job = _state(since, future)
            if job.problem:
                self._futures.pop(key, None)
            broken = future.done() and isinstance(future.exception(), BrokenProcessPool)
            if broken and self._pools.get(kind) is pool:  # not the one that has taken its place
                del self._pools[kind]
            while len(self._futures) > RESULTS_KEPT:
                self._futures.popitem(last=False)
        return job

    def find(self, key: Hashable) -> Job[Any] | None:
        """Return the state of the work with a key if somebody has asked for it."""
        with self._lock:
            since, _, future = self._futures.get(key) or (0.0, None, None)
            return _state(since, future) if future else None

    def forget(self, key: Hashable) -> None:
        """Do the work again when somebody asks next."""
        with self._lock:
            self._futures.pop(key, None)

    def cancel(self, kind: Kind) -> None:
        """End the process of a kind of work, and forget what it was asked for."""
        with self._lock:
            if pool := self._pools.pop(kind, None):
                _end(pool)
                for key in [key for key, (_, of, _) in self._futures.items() if of is pool]:
                    del self._futures[key]

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        for pool in self._pools.values():
            _end(pool)

    def _pool(self, kind: Kind) -> ProcessPoolExecutor:
        if kind not in self._pools:
            # A forked process would inherit the server's threads and locks. A measurement gets a new process.
            tasks = 1 if kind == "measurements" else None
            context = get_context("spawn")
            self._pools[kind] = ProcessPoolExecutor(
                1, context, _begin, (NICENESS[kind],), max_tasks_per_child=tasks
            )
        return self._pools[kind]


def _state(since: float, future: Future[Result]) -> Job[Result]:
    seconds = time.monotonic() - since
    if not future.done():
        return Job(seconds)
    error = future.exception()
    if error is None:
        return Job(seconds, future.result())
    if isinstance(error, ReviewSentimentError):
        return Job(seconds, problem=str(error))
    if isinstance(error, BrokenProcessPool):
        return Job(seconds, problem="The process was killed. This happens if memory runs out.")
    return Job(seconds, problem=f"This is a bug in the dashboard: {type(error).__name__}: {error}")


def _end(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def _begin(niceness: int) -> None:
    """Prepare a process: Ctrl-C is for the server, which ends it."""
    from front_door.state import prepare_environment

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(niceness)
    prepare_environment()
