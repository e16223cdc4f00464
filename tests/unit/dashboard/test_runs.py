"""Runs as processes of their own: started, found again, interrupted, and followed through their events."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient

from dashboard.app import build_app
from dashboard.pages import new_run
from dashboard.runs import process as run_process
from dashboard.runs.failures import can_resume, explain, failure_kind
from dashboard.runs.local import LocalRun, find_local, local_runs
from dashboard.runs.log import tail
from dashboard.runs.outcome import gate_text
from dashboard.runs.progress import RunState, Status, StepState, after, read_events
from dashboard.runs.step_graph import draw_steps
from review_sentiment.config import LoraSettings, Settings, TrainingSettings
from review_sentiment.errors import UsageError
from review_sentiment.models.base_model import ModelIdentity
from review_sentiment.models.compute import plan_compute
from review_sentiment.models.recipe import Recipe
from review_sentiment.resources import device, memory_fit
from review_sentiment.resources.micro_batches import PlannedRows
from review_sentiment.settings_files import flat

REASON = (
    "The gate was not passed: accuracy over the version 2, champion at the time is -0.104 [-0.420, +0.204] "
    "on 36 reviews, p = 0.61, required: > +0.000, p at most 1."
)
WAITING = StepState("finetune", "waiting")

FRONT_DOOR = """
import json, os, signal, sys, time
file = open(sys.argv[sys.argv.index("--events") + 1], "w", buffering=1)
def write(event, **values):
    file.write(json.dumps({"time": time.time(), "event": event, **values}) + "\\n")
name = os.environ["REVIEW_SENTIMENT_RUN_NAME"]
write("run", name=name, log="log", pid=os.getpid(), stack="local", steps=["finetune", "evaluate"])
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


def started() -> LocalRun:
    """Return a run that has been started, whose first step is running."""
    record = run_process.start(Settings(), ["--stack", "local"], "title")
    until(lambda: read_events(record.event_file).steps.get("finetune", WAITING).status == "running")
    local = find_local(record.name)
    assert local is not None
    return local


@pytest.mark.usefixtures("front_door")
def test_a_run_is_found_from_its_files_and_cancelled() -> None:
    local = started()
    assert run_process.active_run() == local.record  # from the files, as another server would find it
    assert local.status == "running"
    with pytest.raises(UsageError, match="is still active"):
        run_process.start(Settings(), ["--stack", "local"], "second")
    local.cancel()
    until(lambda: local.process is None)
    state = local.read()
    assert (state.status, state.steps["finetune"].status) == ("interrupted", "interrupted")
    assert run_process.active_run() is None
    assert explain(state, {}, "").title == "Stopped by you"


@pytest.mark.usefixtures("front_door")
def test_a_run_leaves_the_cores_to_pages() -> None:
    local = started()
    process = local.process
    assert process is not None
    assert process.nice() > psutil.Process().nice()
    group = Path(f"/proc/{process.pid}/autogroup")
    if group.is_file():
        assert group.read_text().split()[-1] == str(run_process.NICENESS)
    local.kill()


@pytest.mark.usefixtures("front_door")
def test_a_run_that_was_stopped_by_its_user_is_not_diagnosed() -> None:
    local = started()
    local.kill()
    until(lambda: local.process is None)
    found = explain(local.read(), {}, "")
    assert (local.status, found.title) == ("interrupted", "Stopped by you")
    assert "memory" not in found.text


@pytest.mark.usefixtures("front_door")
def test_a_run_whose_process_died_is_lost_and_shows_its_settings() -> None:
    local = started()
    process = local.process
    assert process is not None
    process.kill()
    until(lambda: local.process is None)
    state = local.read()
    assert (local.status, state.status) == ("lost", "lost")
    text = explain(state, {"training.tokens_per_pass": "1536"}, "").text
    assert "training.tokens_per_pass=1536" in text
    assert "Resume" in text


@pytest.mark.usefixtures("front_door")
def test_another_process_with_the_same_id_is_not_the_run() -> None:
    record = run_process.start(Settings(), ["--stack", "local"], "title")
    stranger = run_process.RunRecord(record.name, record.pid, record.began - 100, (), "")
    assert run_process.is_alive(record)
    assert not run_process.is_alive(stranger)
    local = find_local(record.name)
    assert local is not None
    replace(local, record=stranger).kill()
    assert run_process.is_alive(record)
    local.kill()


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
    state = read_events(file)
    assert [step.status for step in state.steps.values()] == ["cached", "running", "waiting", "waiting"]
    assert state.progress is not None
    assert state.progress.seconds_left == 9.0


def test_an_incomplete_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    file = events(tmp_path, RUN)
    whole = json.dumps({"time": 105.0, "event": "step", "step": "a", "status": "cached", "seconds": 0}) + "\n"
    with file.open("a") as out:
        out.write(whole[:20])
    assert read_events(file).steps["a"].status == "waiting"
    with file.open("a") as out:
        out.write(whole[20:])
    assert read_events(file).steps["a"].status == "cached"


def a_log(cache: Path, name: str, *more: dict[str, Any], **run: Any) -> Path:
    """Write the events of a run from the command line next to its log."""
    logs = cache / "review-sentiment" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    file = events(logs, RUN | {"name": name, "log": str(logs / f"{name}.log")} | run, *more)
    return file.rename(logs / f"{name}.jsonl")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return a client of the app, with state of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path / "zenml"))
    monkeypatch.delenv("ZENML_STORE_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with TestClient(build_app(), follow_redirects=False) as client:
        yield client


END = {"event": "end", "text": "", "exit_code": 0, "result": None}


def test_without_any_run_the_list_leads_to_the_first(client: TestClient, tmp_path: Path) -> None:
    assert "Start the first run" in client.get("/runs").text
    (tmp_path / "zenml").mkdir()
    (tmp_path / "zenml" / "config.yaml").write_text(f"store: {{url: 'sqlite:///{tmp_path}/zenml.db'}}")
    assert "Start the first run" in client.get("/runs").text
    assert not (tmp_path / "zenml.db").exists()  # ZenML creates its database, not a page


def test_a_run_from_the_command_line_is_listed_and_shown(client: TestClient, tmp_path: Path) -> None:
    checks = {"gate": "not passed", "gate_reason": REASON, "aliases": ["challenger"]}
    result = {"steps": {}, "model": {"name": "review-sentiment", "version": "3"} | checks}
    a_log(
        tmp_path / "cache",
        "review_sentiment-2026_11_29-20_38_08_015659",
        END | {"status": "completed", "result": result},
    )
    page = client.get("/runs").text
    assert "29 Nov 2026, 20:38:08" in page
    assert "Version 3 registered as challenger. Gate not passed: 10.4 points below version 2." in page
    one = client.get("/runs/review_sentiment-2026_11_29-20_38_08_015659").text
    assert "Gate not passed: 10.4 points below version 2." in one
    assert 'href="/models/3"' in one
    assert client.get("/runs?status=failed").text.count("<tr>") == 1  # the heading


def test_an_unknown_run_is_not_found(client: TestClient) -> None:
    for answer in (
        client.get("/runs/none"),
        client.post("/runs/none/cancel"),
        client.post("/runs/none/resume"),
    ):
        assert answer.status_code == 404
        assert "No run none" in answer.text


def test_a_stranger_with_the_id_of_a_run_cannot_be_stopped(client: TestClient, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        a_log(tmp_path / "cache", "old", pid=stranger.pid)  # at second 100 of 1970
        assert local_runs()["old"].status == "lost"
        assert client.post("/runs/old/stop").status_code == 303
        assert stranger.poll() is None
        stranger.kill()


def test_a_run_whose_log_is_gone_is_shown(client: TestClient, tmp_path: Path) -> None:
    a_log(tmp_path / "cache", "gone", END | {"status": "failed", "text": "The loss is nan at step 7"})
    page = client.get("/runs/gone").text
    assert "The loss or the gradient is not finite" in page
    assert "This machine does not have the log" in page


def test_what_a_run_writes_is_escaped(client: TestClient, tmp_path: Path) -> None:
    a_log(
        tmp_path / "cache",
        "bad",
        END | {"status": "failed", "text": "<b onclick=x>gone</b>"},
        stack="<img src=x>",
    )
    for page in (client.get("/runs").text, client.get("/runs/bad").text):
        assert "<b onclick" not in page
        assert "<img" not in page


def test_a_damaged_store_does_not_hide_the_runs_of_this_machine(client: TestClient, tmp_path: Path) -> None:
    a_log(tmp_path / "cache", "one", END | {"status": "interrupted"})
    (tmp_path / "zenml").mkdir()
    (tmp_path / "zenml" / "config.yaml").write_text(f"store: {{url: 'sqlite:///{tmp_path}/zenml.db'}}")
    (tmp_path / "zenml.db").write_text("this is no database, whatever its name says" * 30)
    page = client.get("/runs").text
    assert "could not be read" in page
    assert "/runs/one" in page
    assert client.get("/runs/one").status_code == 200


def test_a_form_with_problems_starts_nothing_and_shows_all_of_them(client: TestClient) -> None:
    answer = client.post("/runs/new", data={"lora.rank": "many", "training.epochs": "x"})
    assert answer.status_code == 422
    assert "not &#39;many&#39;" in answer.text
    assert "not &#39;x&#39;" in answer.text
    assert run_process.list_runs() == []


def test_settings_for_a_gpu_start_nothing_without_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_run, "has_gpu", lambda _: False)
    answer = client.post("/runs/new", data={"config": "gpu"})
    assert answer.status_code == 422
    assert "no usable GPU was found" in answer.text
    assert run_process.list_runs() == []


@pytest.mark.usefixtures("front_door")
def test_a_valid_form_starts_a_run_which_is_shown(client: TestClient) -> None:
    answer = client.post("/runs/new", data={"lora.rank": "8"})
    assert answer.status_code == 303
    (record,) = run_process.list_runs()
    assert answer.headers["location"] == f"/runs/{record.name}"
    assert "lora.rank=8" in record.options
    assert client.get(answer.headers["location"]).status_code == 200
    assert "Only one run at a time" in client.get("/runs/new").text
    assert client.post("/runs/new", data={}).status_code == 422
    assert client.post(f"{answer.headers['location']}/stop").status_code == 303


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (REASON, "10.4 points below version 2."),
        (REASON.replace("-0.104", "+0.010"), "1.0 points above version 2, which is not enough."),
        (
            "The gate was not passed: unparsed answers is 3 %, required: at most 1 %.",
            "Unparsed answers is 3 %, required: at most 1 %.",
        ),
    ],
)
def test_the_reason_of_a_gate_is_in_points(reason: str, text: str) -> None:
    assert gate_text(reason) == text


def test_the_graph_has_each_step_after_those_it_needs() -> None:
    steps = {name: StepState(name, "waiting") for name in "abcd"}
    graph = draw_steps(steps, {"b": ["a"], "c": ["a"], "d": ["a", "b", "c"]})
    x = {box.step.name: box.x for box in graph.boxes}
    assert x["a"] < x["b"] == x["c"] < x["d"]
    assert len(graph.edges) == 4  # not from a to d, which b and c imply


def test_a_log_shows_the_last_state_of_a_progress_bar_and_no_codes_of_colours(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\x1b[1;33mfirst\x1b[0m\n 10%\r 50%\r100%\nlast\n")
    assert tail(tmp_path / "log") == "first\n100%\nlast"


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
def test_failures_are_recognised_by_their_message(message: str, title: str) -> None:
    found = explain(RunState(status="failed", error=message), flat(Settings()), "")
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


def test_the_message_of_any_other_failure_is_shown_unchanged() -> None:
    found = explain(RunState(status="failed", error="MLflow did not answer."), {}, "")
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
