"""State is created by one process at a time, and again if its creator was killed."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from review_sentiment import file_lock
from review_sentiment.file_lock import LockedError, created_once, exclusive
from review_sentiment.tracking import mlflow_store

ROOT = Path(__file__).resolve().parents[3]
FIRST_COMMAND = """
import sys
from review_sentiment.tracking import mlflow_store
mlflow_store.configure(sys.argv[1])
"""


def first_command(uri: str) -> subprocess.Popen[str]:
    """Start a process that creates MLflow's database, unless another one does."""
    return subprocess.Popen(
        [sys.executable, "-c", FIRST_COMMAND, uri], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def test_two_first_commands_at_once_both_succeed(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    for process in [first_command(uri) for _ in range(2)]:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said


def test_what_a_killed_creator_left_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "mlflow.db"
    monkeypatch.setenv(mlflow_store.TRACKING_VARIABLE, "")
    process = first_command(f"sqlite:///{database}")
    deadline = time.monotonic() + 60
    while not (database.exists() and database.stat().st_size > 50_000):  # some tables, not all migrations
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    mlflow_store.configure(f"sqlite:///{database}")
    assert mlflow_store.client().search_experiments()
    assert (tmp_path / "mlflow.db.incomplete").exists()


def test_an_interrupted_creation_takes_its_journal_along_and_leaves_older_files(tmp_path: Path) -> None:
    lock, old, new = (tmp_path / name for name in ("lock", "old.yaml", "new.db"))
    old.write_text("of the user")
    with pytest.raises(ZeroDivisionError), created_once(lock, [old, new]):  # noqa: PT012
        new.write_text("half")
        (tmp_path / "new.db-journal").write_text("half")
        raise ZeroDivisionError
    with created_once(lock, [old, new]):
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "lock",
            "new.db-journal.incomplete",
            "new.db.incomplete",
            "old.yaml",
        ]
        new.write_text("whole")
    with created_once(lock, [old, new]):
        assert new.read_text() == "whole"
    assert lock.read_text() == ""


def test_a_lock_that_is_held_for_long_names_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(file_lock, "SECONDS_UNTIL_MESSAGE", 0.1)
    lock = tmp_path / "lock"
    with (
        created_once(lock, [tmp_path / "new"]),
        pytest.raises(LockedError, match=rf"Process {os.getpid()} of .* has held {lock} for more than 0 s"),
        exclusive(lock, seconds=0.4),
    ):
        pass
    assert [message for message in caplog.messages if f"Process {os.getpid()}" in message]


def test_without_file_locks_it_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with created_once(tmp_path / "lock", [tmp_path / "new"]):
        pass
    assert "has no file locks" in caplog.text
