"""What is wrong with the place of the state, in words; nothing is written elsewhere."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from front_door.main import main
from front_door.state import prepare_environment
from operators.zenml_store import connect
from review_sentiment.errors import EXIT_USAGE, ReviewSentimentError, TrackingError, UsageError
from review_sentiment.tracking import mlflow_store, recorded_runs, run_log

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("variable", ["ZENML_CONFIG_PATH", "ZENML_LOCAL_STORES_PATH"])
@pytest.mark.parametrize("name", ["what?", "a?b/zenml", "not-utf8-\udcff"])
def test_a_directory_that_cannot_hold_databases_is_refused(
    variable: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / name))
    assert main(["models"]) == EXIT_USAGE
    assert f"error: {variable}: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sqlite:////data/what?/mlflow.db", "the database would be /data/what"),
        ("sqlite:///mlflow?.db", "the database would be mlflow"),
        ("sqlite://", "does not name a file"),
        ("sqlite:///", "does not name a file"),
    ],
)
def test_an_address_of_another_database_than_it_seems_is_refused(
    uri: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UsageError, match=said):
        prepare_environment()


def test_the_address_of_a_database_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given, expected in (
        ("sqlite:///our runs #1 100%.db?timeout=30", f"sqlite:///{tmp_path}/our runs #1 100%.db?timeout=30"),
        ("https://mlflow.example/?a=b", "https://mlflow.example/?a=b"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
        prepare_environment()
        assert os.environ["MLFLOW_TRACKING_URI"] == expected
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    prepare_environment()
    assert os.environ["MLFLOW_TRACKING_URI"].endswith("mlflow/mlflow.db")


def test_special_characters_in_the_states_path_lead_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "two words #1 100% a%20b c&d=e;f+g"
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path / name))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    prepare_environment()
    mlflow_store.configure(os.environ["MLFLOW_TRACKING_URI"])
    run = run_log.open_run("experiment", "run", {}, {})
    run_log.log_text(run, "note", "notes/note.txt")
    assert recorded_runs.recorded_bytes(run, "notes/note.txt") == b"note"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "mlflow" / "mlflow.db").is_file()


def test_without_a_home_the_places_must_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"HOME is not set, .*\. Set HOME, or XDG_CACHE_HOME\."):
        prepare_environment()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("USER", "")  # set back after the test
    prepare_environment()
    assert os.environ["USER"] == f"user-{os.getuid()}"


def test_a_locale_without_utf8_is_refused() -> None:
    finished = subprocess.run(
        [sys.executable, "run_pipeline.py", "--config", "ключ.yaml"],
        cwd=ROOT,
        env=os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == EXIT_USAGE
    assert "error: Python reads and writes names as ascii" in finished.stderr
    assert "Set PYTHONUTF8=1" in finished.stderr


@pytest.mark.parametrize("content", [b"", b"- a list", b"store: {url: [1,", b"\xff\xfe", None])
def test_a_damaged_configuration_of_zenml_is_named_and_kept(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path))
    configuration = tmp_path / "config.yaml"
    if content is None:
        configuration.mkdir()
    else:
        configuration.write_bytes(content)
    with pytest.raises(ReviewSentimentError, match=r"config\.yaml cannot be read: .* Move it away"):
        connect()
    assert content is None or configuration.read_bytes() == content


def test_a_damaged_database_of_mlflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mlflow_store.TRACKING_VARIABLE, "")
    (tmp_path / "mlflow.db").write_text("hello")
    with pytest.raises(TrackingError, match=r"mlflow\.db failed: .*file is not a database.* restore it"):
        mlflow_store.configure(f"sqlite:///{tmp_path / 'mlflow.db'}")
