"""Runs as processes of their own: started, found again, interrupted, and followed through their events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboard.pages.run import progress_view
from dashboard.runs import process as run_process
from dashboard.runs.failures import can_resume, explain, failure_kind
from dashboard.runs.progress import RunFollower, RunState, Status, after, fraction_done
from review_sentiment.config import LoraSettings, Settings, TrainingSettings
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources import device, memory_fit
from review_sentiment.resources.micro_batches import PlannedRows

FRONT_DOOR = """
import json, signal, sys, time
file = open(sys.argv[sys.argv.index("--events") + 1], "w", buffering=1)
def write(event, **values):
    file.write(json.dumps({"time": time.time(), "event": event, **values}) + "\\n")
write("run", log="log", pid=1, stack="local", steps=["finetune", "evaluate"])
write("step", step="finetune", status="running", seconds=0)
try:
    time.sleep(60)
except KeyboardInterrupt:
    write("step", step="finetune", status="interrupted", seconds=1)
    write("end", status="interrupted", text="Interrupted.", result=None)
    sys.exit(130)
"""


@pytest.fixture
def front_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the front door by one with a single step, with state of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "door.py").write_text(FRONT_DOOR, encoding="utf-8")
    monkeypatch.setattr(run_process, "FRONT_DOOR", tmp_path / "door.py")


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (thing := found()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return thing


@pytest.mark.usefixtures("front_door")
def test_a_run_is_found_from_its_files_and_interrupted() -> None:
    record = run_process.start(Settings(), ["--stack", "local"], "title")
    follower = RunFollower(record.event_file)
    until(lambda: follower.read(True).status == "running")
    assert run_process.active_run() == record  # from the files, as another server would find it
    with pytest.raises(UsageError, match="is still active"):
        run_process.start(Settings(), ["--stack", "local"], "second")
    run_process.cancel(record)
    until(lambda: not run_process.is_alive(record))
    state = follower.read(False)
    assert state.status == "interrupted"
    assert state.steps["finetune"].status == "interrupted"
    assert run_process.active_run() is None
    assert "Resume" in explain(state, record.settings_file, record.errors).text


@pytest.mark.usefixtures("front_door")
def test_a_killed_run_is_lost_and_shows_its_settings() -> None:
    record = run_process.start(Settings(), ["--stack", "local"], "title")
    follower = RunFollower(record.event_file)
    until(lambda: follower.read(True).status == "running")
    run_process.kill(record)
    until(lambda: not run_process.is_alive(record))
    state = follower.read(False)
    assert state.status == "lost"
    text = explain(state, record.settings_file, record.errors).text
    assert "training.tokens_per_pass=1536" in text
    assert "Resume" in text


@pytest.mark.usefixtures("front_door")
def test_another_process_with_the_same_id_is_not_the_run() -> None:
    record = run_process.start(Settings(), ["--stack", "local"], "title")
    stranger = run_process.RunRecord(record.name, record.pid, record.began - 100, (), "")
    assert run_process.is_alive(record)
    assert not run_process.is_alive(stranger)
    run_process.kill(stranger)
    assert run_process.is_alive(record)
    run_process.kill(record)


def events(tmp_path: Path, *found: dict[str, Any]) -> Path:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps({"time": 100.0 + n} | e) + "\n" for n, e in enumerate(found)))
    return file


RUN = {"event": "run", "log": "l", "pid": 1, "stack": "local", "steps": ["a", "b", "c", "d"]}


def test_steps_and_tasks_are_counted(tmp_path: Path) -> None:
    file = events(
        tmp_path,
        RUN,
        {"event": "step", "step": "a", "status": "cached", "seconds": 0},
        {"event": "step", "step": "b", "status": "running", "seconds": 0},
        {"event": "progress", "task": "training", "done": 1, "total": 2, "seconds_left": 9.0, "detail": "x"},
    )
    state = RunFollower(file).read(alive=True)
    assert [step.status for step in state.steps.values()] == ["cached", "running", "waiting", "waiting"]
    assert fraction_done(state) == pytest.approx(1.5 / 4)
    assert state.progress is not None
    assert state.progress.seconds_left == 9.0


def test_an_incomplete_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    file = events(tmp_path, RUN)
    whole = json.dumps({"time": 105.0, "event": "step", "step": "a", "status": "cached", "seconds": 0}) + "\n"
    follower = RunFollower(file)
    with file.open("a") as out:
        out.write(whole[:20])
    assert follower.read(True).steps["a"].status == "waiting"
    with file.open("a") as out:
        out.write(whole[20:])
    assert follower.read(True).steps["a"].status == "cached"


def test_the_output_of_a_run_is_escaped(tmp_path: Path) -> None:
    record = run_process.RunRecord("<img src=x>", 1, 0.0, (), "<script>alert(1)</script>")
    state = RunState(status="failed", since=1.0, until=2.0, error="<b onclick=x>gone</b>")
    page = progress_view(record, state, None).text
    assert "<script>" not in page
    assert "<img" not in page
    assert "<b onclick" not in page


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("Memory ran out on the CPU although a single review of 90 tokens was trained", "Not enough memory"),
        ("Memory ran out on the CPU outside the micro-batches: on the model", "Not enough memory"),
        ("This training needs about 9.1 GB and 4.0 GB are free on this machine", "Not enough memory"),
        ("No setting makes it small enough.", "Not enough memory"),
        ("CUDA out of memory. Tried to allocate 2 GiB", "Not enough memory"),
        ("[enforce fail] DefaultCPUAllocator: can't allocate memory", "Not enough memory"),
        ("The loss is nan at step 7", "The loss or the gradient is not finite"),
        ("meta-llama/Llama-3.1-8B-Instruct is gated, and nobody is signed in.", "No access to the model"),
        ("There is no room left to write to (under /x).", "The disk is full"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
    ],
)
def test_failures_are_recognised_by_their_message(message: str, title: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("lora:\n  rank: 77\ntraining:\n  learning_rate: 0.123\n")
    found = explain(RunState(status="failed", error=message), settings, "")
    assert found.title == title
    assert message in found.text
    kind = failure_kind(message)
    assert kind is not None
    assert kind.suggestion in found.text
    assert all(f"{key}=" in found.text for key in kind.keys)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        ("failed", "Training stopped at step 3: loss is nan.", False),
        ("failed", "No setting makes it small enough.", False),
        ("failed", "CUDA out of memory. Tried to allocate 2 GiB", True),
        ("failed", "There is no room left to write to (under /x).", True),
        ("failed", "MLflow did not answer.", True),
        ("interrupted", "", True),
        ("lost", "", True),
        ("completed", "", False),
    ],
)
def test_resume_is_offered_only_if_a_retry_can_succeed(status: Status, message: str, expected: bool) -> None:
    assert can_resume(RunState(status=status, error=message)) is expected


def test_a_run_with_rejected_settings_cannot_be_resumed() -> None:
    refused = {"text": "model.precision is 'fp16', which needs a GPU.", "exit_code": 2}
    event = {"event": "end", "time": 1.0, "status": "failed", "result": None}
    assert not can_resume(after(RunState(), event | refused))
    assert can_resume(after(RunState(), event | refused | {"exit_code": 1}))


def test_the_message_of_any_other_failure_is_shown_unchanged(tmp_path: Path) -> None:
    found = explain(RunState(status="failed", error="MLflow did not answer."), tmp_path / "none", "")
    assert (found.title, found.text) == ("Failed", "MLflow did not answer.")


def test_the_errors_of_a_training_without_memory_are_recognised(
    tiny_model: ModelIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(tiny_model, plan_compute("cpu", "fp32"), LoraSettings(), TrainingSettings(), 0)
    monkeypatch.setattr(device, "usable_bytes", lambda _device: 1.0)
    with pytest.raises(memory_fit.FitError) as refused:
        memory_fit.fitted(recipe, PlannedRows(256, recipe.training.batch_size))
    for error in (
        memory_fit.out_of_memory(recipe, 90),
        memory_fit.out_of_memory_elsewhere(recipe),
        refused.value,
    ):
        kind = failure_kind(str(error))
        assert kind is not None
        assert (kind.title, kind.resumable) == ("Not enough memory", False)
