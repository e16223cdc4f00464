"""Work in other processes: it is done once, can be cancelled, and a dead process is replaced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.jobs import PATIENCE, Job, Jobs
from review_sentiment.errors import UsageError

SECONDS = 60.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    found = Jobs()
    yield found
    found.close()


def result_of(jobs: Jobs, kind: Any, key: str, work: Any, *arguments: Any) -> Job[Any]:
    """Ask until the work is done."""
    end = time.monotonic() + SECONDS
    while (job := jobs.ask(kind, key, work, *arguments)).in_progress:
        assert time.monotonic() < end
        time.sleep(0.05)
    return job


def process() -> int:
    return os.getpid()


def refuse() -> None:
    raise UsageError("Choose another version.")


def fail() -> None:
    raise KeyError("column")


def sleep() -> int:
    time.sleep(600)
    return 1


def test_work_is_done_once_in_another_process_and_problems_are_tried_again(jobs: Jobs) -> None:
    first = result_of(jobs, "computations", "a", process)
    assert first.result not in {None, os.getpid()}
    assert jobs.ask("computations", "a", fail).result == first.result
    assert result_of(jobs, "computations", "b", refuse).problem == "Choose another version."
    assert "KeyError" in result_of(jobs, "computations", "b", fail).problem
    jobs.forget("a")
    assert jobs.find("a") is None
    assert result_of(jobs, "computations", "a", process).result == first.result  # the same process


def test_a_page_waits_for_its_turn_only_once(jobs: Jobs) -> None:
    jobs.ask("computations", "first", sleep)
    started = time.monotonic()
    assert all(jobs.ask("computations", number, process).in_progress for number in range(100))
    assert time.monotonic() - started < 100 * PATIENCE / 2


def test_a_killed_process_is_replaced(jobs: Jobs) -> None:
    first = result_of(jobs, "models", "a", process).result
    os.kill(first, signal.SIGKILL)
    end = time.monotonic() + SECONDS
    jobs.forget("a")
    while (found := result_of(jobs, "models", "a", process)).problem:
        assert "was killed" in found.problem
        assert time.monotonic() < end
    assert found.result != first


def test_cancelled_work_is_forgotten_and_other_work_goes_on(jobs: Jobs) -> None:
    kept = result_of(jobs, "computations", "kept", process).result
    assert jobs.ask("measurements", "slow", sleep).in_progress
    assert jobs.find("slow") is not None
    jobs.cancel("measurements")
    assert jobs.find("slow") is None
    jobs.cancel("measurements")  # nothing to cancel
    assert result_of(jobs, "measurements", "slow", process).result != kept
    found = jobs.find("kept")
    assert found is not None
    assert found.result == kept


def test_each_measurement_gets_a_process_of_its_own(jobs: Jobs) -> None:
    first, second = (result_of(jobs, "measurements", key, process).result for key in "ab")
    assert first != second
