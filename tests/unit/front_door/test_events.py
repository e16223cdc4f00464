"""The event file that a run writes next to its log."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from front_door.run.events import EventFile, recorded
from front_door.terminal.run_handler import step_status
from review_sentiment.errors import UsageError
from review_sentiment.progress import Progress


def events_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Using cached version of step `evaluate`.", ("evaluate", "cached")),
        ("Step `finetune` has started.", ("finetune", "running")),
        ("Step `finetune` has finished in `3.1s`.", ("finetune", "completed")),
        ("Failed to run step `finetune`.", ("finetune", "failed")),
        ("Initiating a new run for the pipeline: `review_sentiment`.", None),
    ],
)
def test_zenmls_messages_about_steps_are_parsed(message: str, expected: tuple[str, str] | None) -> None:
    assert step_status(message) == expected


def test_steps_progress_and_messages_become_events(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events = EventFile(file)
    logging.getLogger("zenml").setLevel(logging.INFO)
    logging.getLogger("review_sentiment").setLevel(logging.INFO)
    with events.listening():
        logging.getLogger("zenml.step").info("Step `finetune` has started.")
        with Progress("training", 4) as progress:
            progress.advance(4, "loss 0.5")
        logging.getLogger("review_sentiment.resources.memory_fit").warning("tight")
        logging.getLogger("somebody.else").warning("noise")
    logging.getLogger("zenml.step").info("Step `finetune` has finished in 1s.")  # no longer listening
    found = events_of(file)
    assert [event["event"] for event in found] == ["step", "progress", "progress", "message"]
    assert found[0]["status"] == "running"
    assert (found[2]["done"], found[2]["total"], found[2]["detail"]) == (4, 4, "loss 0.5")
    assert found[3] == found[3] | {"level": "warning", "text": "tight"}


def test_an_end_event_has_status_text_and_result(tmp_path: Path) -> None:
    events = EventFile(tmp_path / "events.jsonl")
    events.end("completed", result={"status": "completed"})
    events.close()
    assert events_of(tmp_path / "events.jsonl")[0] | {"time": 0} == {
        "time": 0,
        "event": "end",
        "status": "completed",
        "text": "",
        "result": {"status": "completed"},
        "exit_code": 0,
    }


def test_events_before_the_file_is_open_are_dropped(tmp_path: Path) -> None:
    events = EventFile(None)
    events.end("failed", "a wrong name")
    events.open(tmp_path / "events.jsonl")
    events.write("run")
    events.close()
    assert [event["event"] for event in events_of(tmp_path / "events.jsonl")] == ["run"]


def test_an_event_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--events"), recorded(tmp_path / "missing" / "events.jsonl"):
        pass
