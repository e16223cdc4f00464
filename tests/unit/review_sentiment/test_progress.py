"""Progress as log records, and how the console shows a run."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator

import pytest

from front_door.terminal.console import Console
from review_sentiment import progress
from review_sentiment.progress import ATTRIBUTE, Progress, RemoteProgress, Snapshot, duration

OURS, ZENML = "review_sentiment.training.qlora", "zenml.orchestrators.step_launcher"
CLEAR = "\r\x1b[2K"


class Terminal(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def snapshots(caplog: pytest.LogCaptureFixture) -> Iterator[list[Snapshot]]:
    """Collect the reported snapshots."""
    reported: list[Snapshot] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reported.append(getattr(record, ATTRIBUTE))

    handler = Collector()
    caplog.set_level(logging.INFO, logger=progress.LOGGER.name)
    progress.LOGGER.addHandler(handler)
    yield reported
    progress.LOGGER.removeHandler(handler)


def log(console: Console, name: str, message: str, snapshot: Snapshot | None = None) -> None:
    """Send a record to the console."""
    record = logging.LogRecord(name, logging.INFO, "", 0, message, None, None)
    if snapshot is not None:
        setattr(record, ATTRIBUTE, snapshot)
    console.handle(record)


def shown(*done: int, stream: io.StringIO, total: int = 10, detail: str = "") -> str:
    """Return what the console writes for the states of a task that takes one second per unit."""
    console = Console(stream)
    for units in done:
        log(console, OURS, "", Snapshot("train", units, total, float(units), units / max(1, total), detail))
    return stream.getvalue()


def test_a_single_unit_reports_nothing(snapshots: list[Snapshot]) -> None:
    with Progress("score", total=1) as task:
        task.advance(1)
    assert snapshots == []


def test_many_quick_units_report_only_the_start_and_the_end(snapshots: list[Snapshot]) -> None:
    with Progress("score", total=1_000) as task:
        for _ in range(1_000):
            task.advance(1)
    assert [(item.task, item.done, item.total) for item in snapshots] == [
        ("score", 0, 1_000),
        ("score", 1_000, 1_000),
    ]


def test_every_slow_unit_is_reported_with_its_detail(
    snapshots: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    with Progress("score", total=3) as task:
        task.advance(2, "loss 0.5")
        task.advance(1, "loss 0.4")
    assert [(item.done, item.detail) for item in snapshots] == [(0, ""), (2, "loss 0.5"), (3, "loss 0.4")]
    assert snapshots[0].seconds <= snapshots[1].seconds <= snapshots[2].seconds


def test_a_task_that_ends_early_without_an_error_is_reported_as_complete(snapshots: list[Snapshot]) -> None:
    with Progress("score", total=5) as task:
        task.advance(2)
    assert snapshots[-1].done == 5


def test_a_task_that_fails_is_never_reported_as_complete(snapshots: list[Snapshot]) -> None:
    def fail() -> None:
        with Progress("score", total=5) as task:
            task.advance(2)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert all(item.done < 5 for item in snapshots)


def test_the_time_left_follows_the_speed_so_far_and_is_unknown_before_the_first_unit() -> None:
    assert Snapshot("train", done=2, total=10, seconds=4.0, fraction=0.2).seconds_left == 16.0
    assert Snapshot("train", done=10, total=10, seconds=4.0, fraction=1.0).seconds_left == 0.0
    assert Snapshot("train", done=0, total=10, seconds=4.0, fraction=0.0).seconds_left is None
    long_ones_first = Snapshot("train", done=2, total=10, seconds=4.0, fraction=0.4)
    assert long_ones_first.seconds_left == pytest.approx(6.0)


def test_our_own_messages_are_shown_and_those_of_libraries_are_not() -> None:
    console = Console(stream := io.StringIO())
    log(console, OURS, "Six layers.")
    log(console, "transformers.trainer", "Noise.")
    log(console, ZENML, "Registered a thing.")
    assert stream.getvalue() == "  Six layers.\n"


def test_steps_are_shown_when_they_start_finish_or_come_from_the_cache() -> None:
    console = Console(stream := io.StringIO())
    log(console, ZENML, "Step `finetune` has started.")
    log(console, ZENML, "Step `finetune` has finished in `3.2s`.")
    log(console, ZENML, "Using cached version of step `split_reviews`.")
    assert stream.getvalue() == "running  finetune\ndone     finetune (0 s)\ncached   split_reviews\n"


def test_without_a_terminal_a_task_gets_few_lines_and_always_the_last_one() -> None:
    assert shown(1, 2, 5, 10, stream=io.StringIO()).splitlines() == [
        "  train 1/10, 9 s left",
        "  train 10/10, 0 s left",
    ]


def test_a_long_time_left_is_shown_in_minutes_followed_by_the_detail() -> None:
    text = shown(1, stream=io.StringIO(), total=126, detail="loss 0.31")
    assert text == "  train 1/126, 2:05 min left, loss 0.31\n"


def test_on_a_terminal_a_bar_is_redrawn_in_place_and_grows() -> None:
    written = shown(0, 5, stream=Terminal())
    bars = written.split(CLEAR)
    assert "\n" not in written
    assert bars[0] == ""
    assert [(bar.count("#"), bar.count(".")) for bar in bars[1:]] == [(0, 24), (12, 12)]
    assert bars[1].endswith("train 0/10")
    assert bars[2].endswith("train 5/10, 5 s left")


def test_on_a_terminal_one_line_replaces_a_finished_bar() -> None:
    lines = shown(5, 10, stream=Terminal()).split("\n")
    assert lines[0].split(CLEAR)[-1] == "  train: 10 in 10 s"
    assert lines[1:] == [""]


def test_a_line_replaces_the_bar_and_the_next_line_follows_it() -> None:
    console = Console(stream := Terminal())
    log(console, OURS, "", Snapshot("train", 5, 10, seconds=5.0, fraction=0.5))
    console.print_line("first")
    console.print_line("second")
    assert stream.getvalue().endswith(f"left{CLEAR}first\nsecond\n")


def test_a_task_without_units_is_shown_once() -> None:
    assert len(re.findall("train", shown(0, stream=io.StringIO(), total=0))) == 1
    assert shown(0, stream=Terminal(), total=0).endswith("train: 0 in 0 s\n")


def test_progress_on_another_host_is_shown_from_its_log(
    snapshots: list[Snapshot], caplog: pytest.LogCaptureFixture
) -> None:
    with Progress("scoring reviews", 4) as remote:
        remote.advance(4, "loss 0.31, 12 tokens/s")
    reported = snapshots.copy()
    snapshots.clear()
    lines = [f'{record.getMessage()} | {{"progress":"{record.name}"}}' for record in caplog.records]
    RemoteProgress().log_again(["Step `finetune` has started.", *lines, "at 3 of 4 o'clock"])
    assert [(s.task, s.done, s.total, s.detail, s.fraction) for s in snapshots] == [
        (s.task, s.done, s.total, s.detail, s.fraction) for s in reported
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 second"),
        (0.004, "1 second"),
        (45, "45 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_000, "117 minutes"),
        (7_200, "2 hours"),
        (9_000, "2.5 hours"),
        (160_000, "44 hours"),
        (972_000, "11 days"),
        (1e10, "115,741 days"),
    ],
)
def test_a_duration_is_in_the_unit_that_a_person_would_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_work_of_an_earlier_process_does_not_make_the_time_left_shorter(
    snapshots: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step 5 of 20 is the checkpoint's; one step in 4 s leaves 14 of them, so 56 s and not 9."""
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(Progress, "seconds", 4.0)
    resumed = Progress("training", total=20, done=5)
    assert resumed.__enter__().done == 5
    resumed.advance(1)
    by_tokens = Progress("training", total=20, done=5, fraction=0.5)
    by_tokens.advance(1, fraction=0.6)
    assert [snapshot.seconds_left for snapshot in snapshots] == [None, pytest.approx(56), pytest.approx(16)]

    snapshots.clear()
    scored = Progress("scoring a.csv", total=20)
    scored.skip(10)
    scored.advance(5)
    assert snapshots[-1].seconds_left == pytest.approx(4)

    snapshots.clear()
    RemoteProgress().log_again(["training: 5 of 20 ", "training: 10 of 20 "])
    assert [snapshot.fraction_before for snapshot in snapshots] == [0.25, 0.25]


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), SystemExit(143)])
def test_a_step_that_is_interrupted_has_not_failed(reason: BaseException) -> None:
    console = Console(stream := io.StringIO())
    for error in (reason, ValueError("KeyboardInterrupt")):
        message = "Failed to run step `%s`: %s"
        console.handle(logging.LogRecord(ZENML, logging.ERROR, "", 0, message, ("finetune", error), None))
    assert stream.getvalue() == "interrupted finetune (0 s)\nfailed   finetune (0 s)\n"
